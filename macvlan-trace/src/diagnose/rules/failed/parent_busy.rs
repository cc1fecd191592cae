//! A link could not be made because another device has taken its parent.

use crate::{
    correlate::Case,
    diagnose::{Rule, Verdict, asked, words},
    event::Confidence,
    fact::{Link, LinkChange},
    kernel::names,
    sentence::{Part, Sentence, sentence},
};

/// `EBUSY`: the parent's packets go to another device (`netdev_rx_handler_register`).
const BUSY: u32 = 16;
/// `EINVAL`: what a link in passthru mode leads to, among many other things (`macvlan_common_newlink`).
const INVALID: u32 = 22;
/// `MACVLAN_MODE_PASSTHRU`.
const PASSTHRU: u32 = 8;

/// Kinds of masters that take all packets of their ports.
const MASTERS: [&str; 5] = ["bridge", "bond", "team", "openvswitch", "hsr"];

/// The rule.
pub const RULE: Rule = Rule {
    name: "parent-busy",
    page: include_str!("../../pages/parent-busy.md"),
    judge: |case| {
        if case.fact.change != LinkChange::CreateFailed {
            return None;
        }
        let (parent, holder) = (case.fact.parent.as_ref()?, case.fact.held_by.as_ref()?);
        let (why, remedy, confidence) = match (case.fact.error?, holder.family()) {
            (BUSY, None) => as_port(parent, holder),
            (BUSY, family) if family != case.fact.link.family() => as_other(case, parent, holder),
            (INVALID, family) if family.is_some() && family == case.fact.link.family() => {
                as_passthru(case, parent, holder)?
            }
            _ => return None,
        };
        Some(Verdict {
            cause: sentence!("{}: {}", words::who_did_what(case, &case.actor), why),
            remedy: Some(remedy.into()),
            confidence,
            ..asked(RULE.name, case, &case.actor)
        })
    },
};

/// "bridge br0", "macvlan macvlan0".
fn device(link: &Link) -> Sentence {
    sentence!("{} {}", kind(link), Part::device(&link.name))
}

/// Its kind, as far as it is known.
fn kind(link: &Link) -> Sentence {
    link.kind.as_ref().map_or_else(|| "device".into(), |kind| Part::name(kind).into())
}

/// The parent is a port of a bridge or the like.
fn as_port(parent: &Link, master: &Link) -> (Sentence, Sentence, Confidence) {
    let is_one_of = |kinds: &[&str]| {
        kinds.iter().any(|kind| master.kind.as_ref().is_some_and(|own| own.as_bytes() == kind.as_bytes()))
    };
    let (port, name) = (|| Part::device(&parent.name), Part::device(&master.name));
    let remedy = if is_one_of(&["bond", "team"]) {
        sentence!("Make the link on {}, which {} belongs to", name, port())
    } else {
        sentence!(
            "Make the link on {}, or take {} out of it (`ip link set {} nomaster`) if nothing else needs it there",
            name,
            port(),
            words::plain(&parent.name)
        )
    };
    let confidence = if is_one_of(&MASTERS) { Confidence::Certain } else { Confidence::Likely };
    (
        sentence!("{} is a port of the {}, which takes all its packets", port(), device(master)),
        remedy,
        confidence,
    )
}

/// A link of a kind that cannot share the parent is there.
fn as_other(case: &Case, parent: &Link, other: &Link) -> (Sentence, Sentence, Confidence) {
    let parent = || Part::device(&parent.name);
    (
        sentence!(
            "the {} stands on {}, and {} and {} cannot share a parent",
            device(other),
            parent(),
            kind(&case.fact.link),
            kind(other)
        ),
        sentence!("Use links of one kind on {}, or a VLAN of it for the others", parent()),
        Confidence::Certain,
    )
}

/// One of the two is in passthru mode. The error has other reasons, so this is likely at most.
fn as_passthru(case: &Case, parent: &Link, other: &Link) -> Option<(Sentence, Sentence, Confidence)> {
    let mode = names::macvlan_mode(PASSTHRU)?;
    let (there, wanted) = (other.mode == Some(PASSTHRU), case.fact.link.mode == Some(PASSTHRU));
    let parent = Part::device(&parent.name);
    let (why, alone) = if there {
        (
            sentence!(
                "the {} stands on {} in {} mode, and so no other link can",
                device(other),
                parent,
                mode
            ),
            Part::device(&other.name),
        )
    } else if wanted {
        (
            sentence!(
                "a link in {} mode must be the only one on {}, and the {} is there",
                mode,
                parent,
                device(other)
            ),
            Part::link(&case.fact.link.name),
        )
    } else {
        return None;
    };
    let remedy = sentence!("Make {} in another mode, such as bridge, or on another parent", alone);
    Some((why, remedy, Confidence::Likely))
}

#[cfg(test)]
mod tests {
    use crate::{
        fact::{Link, LinkChange, LinkFact, What},
        testing::story::{Macvlan, Story, Told, cast::ip, macvlan, netns, nic},
    };

    const ADD: &str = "ip link add mv0 link eth0 type macvlan";

    fn holder(name: &str, kind: &str, mode: Option<u32>) -> Link {
        Link { kind: Some(kind.into()), mode, ..nic(name, netns(0), 9) }
    }

    fn refused(error: u32, mode: Option<u32>, held_by: Option<Link>) -> Told {
        let by = ip(ADD);
        let Macvlan { link, parent } = macvlan("mv0", netns(0), 0).unmade();
        let wanted = Macvlan { link: Link { mode, ..link }, parent };
        let fact = LinkFact {
            error: Some(error),
            held_by,
            ..wanted.fact(LinkChange::CreateFailed, &by, &["rtnl_newlink"])
        };
        let mut story = Story::new();
        story.acts(&by, What::Link(Box::new(fact))).tell()
    }

    #[test]
    fn a_port_of_a_bridge_or_bond_can_be_no_parent() {
        let told = refused(16, None, Some(holder("br0", "bridge", None)));
        told.last()
            .is("/event", "create_failed")
            .is("/error", "EBUSY")
            .is("/link/parent/held_by/name", "br0")
            .is("/link/parent/held_by/kind", "bridge")
            .verdict("parent-busy", "certain")
            .culprit(&ip(ADD))
            .says("/verdict/cause", "could not make mv0 (EBUSY): eth0 is a port of the bridge br0")
            .says(
                "/verdict/remedy",
                "Make the link on br0, or take eth0 out of it (`ip link set eth0 nomaster`)",
            );
        let told = refused(16, None, Some(holder("bond0", "bond", None)));
        told.last().says("/verdict/remedy", "Make the link on bond0, which eth0 belongs to.");
        refused(16, None, Some(holder("x0", "strange", None))).last().verdict("parent-busy", "likely");
    }

    #[test]
    fn ipvlan_and_macvlan_cannot_share_a_parent() {
        let told = refused(16, None, Some(holder("ipvl0", "ipvlan", None)));
        told.last()
            .verdict("parent-busy", "certain")
            .says("/verdict/cause", "the ipvlan ipvl0 stands on eth0, and macvlan and ipvlan cannot share");
    }

    #[test]
    fn a_link_in_passthru_mode_is_alone_on_its_parent() {
        let told = refused(22, Some(4), Some(holder("mv1", "macvlan", Some(8))));
        told.last().is("/link/parent/held_by/mode", "passthru").verdict("parent-busy", "likely").says(
            "/verdict/cause",
            "the macvlan mv1 stands on eth0 in passthru mode, and so no other link can",
        );
        let told = refused(22, Some(8), Some(holder("mv1", "macvlan", Some(4))));
        told.last()
            .verdict("parent-busy", "likely")
            .says("/verdict/cause", "must be the only one on eth0, and the macvlan mv1 is there")
            .says("/verdict/remedy", "Make mv0 in another mode");
    }

    #[test]
    fn a_parent_with_room_is_not_busy() {
        // Siblings, and an error that no sibling explains.
        let sibling = || Some(holder("mv1", "macvlan", Some(4)));
        for (error, held_by) in [(16, sibling()), (22, sibling()), (17, sibling()), (16, None)] {
            refused(error, Some(4), held_by).last().verdict("creation-failed", "certain");
        }
        // A port, and an error that comes earlier than that.
        let bridge = holder("br0", "bridge", None);
        refused(17, None, Some(bridge)).last().verdict("creation-failed", "certain");
    }
}
