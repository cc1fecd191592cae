//! A manager of the host's network changed a link of somebody else's.

use crate::{
    correlate::{Case, Cause},
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
    fact::{LinkChange, Task},
    kernel::kinds::{self, Family},
    sentence::{Part, Sentence, sentence},
    text::Text,
    work::party,
};

const NETWORK_MANAGER: [&str; 2] = ["NetworkManager.service", "network-manager.service"];
const NETWORKD: [&str; 1] = ["systemd-networkd.service"];
const OTHERS: [&str; 3] = ["connman.service", "wickedd.service", "wicked.service"];

/// The rule.
pub const RULE: Rule = Rule {
    name: "network-manager",
    page: include_str!("../../pages/network-manager.md"),
    judge: |case| {
        let Cause::Request(task) = &case.cause else { return None };
        let its_own = is_its_own(case, task);
        if case.fact.change == LinkChange::Created || its_own == Some(true) {
            return None;
        }
        let how = match leave_alone(case, task) {
            Some(how) => how,
            None if party::is_of_unit(task, &OTHERS) => {
                sentence!("it leave links of containers alone; see its own documentation")
            }
            None => return None,
        };
        let (doubt, remedy, confidence) = match its_own {
            Some(_) => (None, sentence!("Have {}", how), Confidence::Certain),
            None => (
                Some(sentence!(
                    "; who made {} was not seen, so the link may be the manager's own",
                    Part::link(&case.life.known_as)
                )),
                sentence!("If the link is not its own, have {}", how),
                Confidence::Likely,
            ),
        };
        let unit = party::unit(task).unwrap_or_default();
        let why = match &case.reaction {
            Some(lost) => Some(sentence!(
                ", {} after its parent {} had lost its carrier",
                words::duration(lost.at, case.at),
                Part::device(&lost.parent.name)
            )),
            None => words::age(case, task),
        };
        Some(Verdict {
            rule: RULE.name,
            cause: sentence!(
                "{} of {} {}{}{}",
                words::process_with_command(task),
                unit,
                words::deed(case),
                why,
                doubt
            ),
            remedy: Some(remedy.into()),
            confidence,
            culprit: Some(Culprit::new(task)),
        })
    },
};

/// Whether a manager has made the link itself, from a profile or a .netdev file. `None` if the tracer did not see who
/// made it.
fn is_its_own(case: &Case, task: &Task) -> Option<bool> {
    case.life.creator.as_ref().map(|creator| party::unit(creator) == party::unit(task))
}

/// How to make NetworkManager or networkd leave a foreign link alone: "NetworkManager leave it alone: put …". `None`
/// for other managers.
pub(super) fn leave_alone(case: &Case, task: &Task) -> Option<Sentence> {
    if is_its_own(case, task) == Some(true) {
        return None;
    }
    let name = &case.fact.link.name;
    let (link, whence, family) = (words::plain(name), whence(task, name), case.fact.link.family());
    // On the host, a runtime gives the link another name next time.
    let is_passing = words::has_passing_name(case);
    if party::is_of_unit(task, &NETWORK_MANAGER) {
        let device = match case.fact.link.kind.as_ref() {
            // NetworkManager calls a macvtap link macvlan, too.
            _ if is_passing && family == Some(Family::Macvlan) => "type:macvlan".to_owned(),
            Some(kind) if is_passing => format!("type:{kind}"),
            _ => format!("interface-name:{link}"),
        };
        Some(sentence!(
            "NetworkManager leave it alone: put `[keyfile]` and `unmanaged-devices+={}` into \
             /etc/NetworkManager/conf.d/90-macvlan.conf, then `systemctl reload NetworkManager`{}",
            device,
            whence
        ))
    } else if party::is_of_unit(task, &NETWORKD) {
        let device = match family {
            Some(family) if is_passing => {
                format!("Kind={}", kinds::words(family).collect::<Vec<_>>().join(" "))
            }
            _ => format!("Name={link}"),
        };
        Some(sentence!(
            "networkd leave it alone: put `[Match]`, `{}`, `[Link]` and `Unmanaged=yes` into \
             /etc/systemd/network/05-macvlan.network, then `networkctl reload`; and narrow the `[Match]` that catches \
             it{}",
            device,
            whence
        ))
    } else {
        None
    }
}

/// Where a manager says why it did it: NetworkManager's log names the client that asked, and networkd shows the file
/// that matched. `None` for other managers.
pub fn whence(task: &Task, link: &Text) -> Option<Sentence> {
    if party::is_of_unit(task, &NETWORK_MANAGER) {
        Some(sentence!(
            "; if a client asked for it, `journalctl -u NetworkManager --grep audit:` names that and the connection \
             profile"
        ))
    } else if party::is_of_unit(task, &NETWORKD) {
        Some(sentence!("; `networkctl status {}` names the file that told it to", words::plain(link)))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        fact::{LinkChange, Task},
        testing::story::{
            Story,
            cast::{dockerd, eth0, link, of_unit, setup},
            macvlan, netns,
            path::{DRIVER, LINKWATCH},
            worker,
        },
    };

    #[test]
    fn units_tell_managers_apart() {
        for (unit, rule) in [
            ("NetworkManager.service", "network-manager"),
            ("systemd-networkd.service", "network-manager"),
            ("cron.service", "direct"),
            ("docker-9f3.scope/system.slice/NetworkManager.service", "direct"),
        ] {
            let (mut story, link) = link();
            story.sets_down(&of_unit(unit, 901), &link).tell().last().verdict(rule, "certain");
        }
    }

    #[test]
    fn a_link_of_a_runtimes_is_left_alone_by_its_kind_since_its_name_is_another_one_next_time() {
        let seen = |name: &str, by: &Task, unit: &str| {
            let mut story = Story::new();
            let link = macvlan(name, netns(0), 7);
            story.creates(by, &link).sets_down(&of_unit(unit, 901), &link).tell()
        };
        let stock = |name: &str| {
            let mut story = Story::new();
            let link = macvlan(name, netns(0), 7);
            story.stock(&link).sets_down(&of_unit("NetworkManager.service", 901), &link).tell()
        };
        let (manager, networkd) = ("NetworkManager.service", "systemd-networkd.service");
        for (told, lines) in [
            (seen("mv-web", &dockerd(), manager), "and `unmanaged-devices+=type:macvlan` into"),
            (seen("mv-web", &dockerd(), networkd), "put `[Match]`, `Kind=macvlan macvtap`, `[Link]`"),
            (stock("veth918345f"), "`unmanaged-devices+=type:macvlan`"),
            (seen("mv-web", &setup(), manager), "`unmanaged-devices+=interface-name:mv-web`"),
            (seen("mv-web", &setup(), networkd), "`Name=mv-web`"),
            (stock("mv-web"), "`unmanaged-devices+=interface-name:mv-web`"),
        ] {
            told.last().is("/verdict/rule", "network-manager").says("/verdict/remedy", lines);
        }
    }

    #[test]
    fn a_link_that_nobody_was_seen_making_may_be_the_managers_own() {
        for unit in ["NetworkManager.service", "systemd-networkd.service", "connman.service"] {
            let link = macvlan("mv-web", netns(0), 7);
            let mut story = Story::new();
            let told = story.stock(&link).deletes(&of_unit(unit, 901), &link).tell();
            told.last()
                .verdict("network-manager", "likely")
                .says(
                    "/verdict/cause",
                    "; who made mv-web was not seen, so the link may be the manager's own",
                )
                .says("/verdict/remedy", "If the link is not its own, have ");
        }
    }

    #[test]
    fn a_link_that_another_was_seen_making_is_not_the_managers_own() {
        let (mut story, link) = link();
        let told = story.deletes(&of_unit("NetworkManager.service", 901), &link).tell();
        told.last()
            .verdict("network-manager", "certain")
            .says("/verdict/remedy", "Have NetworkManager leave");
        assert!(!told.last().record["verdict"]["cause"].to_string().contains("was not seen"), "{told}");
    }

    #[test]
    fn a_link_that_a_manager_made_itself_is_its_own() {
        let link = macvlan("mv-web", netns(0), 7);
        let mut story = Story::new();
        let (before, now) = (of_unit("NetworkManager.service", 901), of_unit("NetworkManager.service", 902));
        let told = story.creates(&before, &link).deletes(&now, &link).tell();
        told.last().is("/verdict/rule", "self-inflicted");
    }

    #[test]
    fn a_manager_that_reacts_to_a_lost_carrier_is_the_second_step_of_one_incident() {
        let (mut story, link) = link();
        story.parent(&worker(), LinkChange::CarrierLost, &eth0(), None, DRIVER).wait_ms(1);
        story.link(&worker(), LinkChange::CarrierLost, &link, LINKWATCH).wait_ms(900);
        let told = story.sets_down(&of_unit("NetworkManager.service", 500), &link).tell();
        let incidents = told.incidents();
        assert_eq!(incidents[2], incidents[3], "{told}");
        told.last()
            .verdict("network-manager", "certain")
            .says("/verdict/cause", "903 ms after its parent eth0 had lost its carrier")
            .steps(&["parent_carrier_lost", "down"]);
    }
}
