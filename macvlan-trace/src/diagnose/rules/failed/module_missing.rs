//! A link could not be made because the kernel does not know its kind: the module is not there.

use crate::{
    diagnose::{Rule, Verdict, asked, words},
    fact::LinkChange,
    sentence::{Part, sentence},
    text::Text,
};

/// `EOPNOTSUPP`, which has other reasons, too.
const NOT_SUPPORTED: u32 = 95;
/// What `rtnl_newlink` says when `request_module` brought nothing (5.8 to 7.3).
const UNKNOWN_KIND: &[u8] = b"Unknown device type";

/// The rule.
pub const RULE: Rule = Rule {
    name: "module-missing",
    page: include_str!("../../pages/module-missing.md"),
    judge: |case| {
        let fact = &case.fact;
        let said = fact.message.as_ref().map(Text::as_bytes);
        let unknown = fact.error == Some(NOT_SUPPORTED) && said == Some(UNKNOWN_KIND);
        if fact.change != LinkChange::CreateFailed || !unknown {
            return None;
        }
        let kind = fact.link.kind.as_ref()?;
        let module = words::pasteable(kind.as_bytes()).unwrap_or("MODULE");
        Some(Verdict {
            cause: sentence!(
                "{}: the kernel does not know links of the kind {}, and could not load a module for it",
                words::who_did_what(case, &case.actor),
                Part::name(kind)
            ),
            remedy: Some(
                sentence!(
                    "`modprobe {}` says what is wrong. If the kernel was updated since the machine booted, reboot: the \
                     modules of the running one are gone",
                    module.to_owned()
                )
                .into(),
            ),
            ..asked(RULE.name, case, &case.actor)
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::{
        fact::{LinkChange, LinkFact, What},
        testing::story::{Macvlan, Story, Told, cast::ip, macvlan, netns},
    };

    fn refused(error: u32, message: Option<&str>) -> Told {
        let by = ip("ip link add mv0 link eth0 type macvlan");
        let Macvlan { link, parent } = macvlan("mv0", netns(0), 0).unmade();
        let wanted = Macvlan { link, parent }.fact(LinkChange::CreateFailed, &by, &["rtnl_newlink"]);
        let fact = LinkFact { error: Some(error), message: message.map(Into::into), ..wanted };
        let mut story = Story::new();
        story.acts(&by, What::Link(Box::new(fact))).tell()
    }

    #[test]
    fn a_kind_that_the_kernel_does_not_know_lacks_its_module() {
        let told = refused(95, Some("Unknown device type"));
        told.last()
            .is("/event", "create_failed")
            .is("/error", "EOPNOTSUPP")
            .is("/message", "Unknown device type")
            .verdict("module-missing", "certain")
            .culprit(&ip("ip link add mv0 link eth0 type macvlan"))
            .says(
                "/verdict/cause",
                "could not make mv0 (EOPNOTSUPP): the kernel does not know links of the kind",
            )
            .says("/verdict/remedy", "`modprobe macvlan`");
    }

    #[test]
    fn what_is_not_supported_for_another_reason_lacks_no_module() {
        for message in [None, Some("macvlan: not like that")] {
            refused(95, message).last().verdict("creation-failed", "certain");
        }
        refused(22, Some("Unknown device type")).last().verdict("creation-failed", "certain");
    }
}
