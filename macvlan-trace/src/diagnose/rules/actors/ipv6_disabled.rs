//! Somebody wrote a sysctl, and the kernel took addresses from the links.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
    fact::LinkChange,
    sentence::sentence,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "ipv6-disabled",
    page: include_str!("../../pages/ipv6-disabled.md"),
    judge: |case| {
        let Cause::Request(task) = &case.cause else { return None };
        let by_sysctl = case.fact.change == LinkChange::AddressRemoved && case.fact.path.writes_sysctl();
        by_sysctl.then(|| Verdict {
            rule: RULE.name,
            cause: sentence!(
                "{} wrote a sysctl such as disable_ipv6, and with that the kernel removed {}",
                words::who(task),
                words::address(case),
            ),
            remedy: Some(
                sentence!(
                    "`sysctl -w net.ipv6.conf.{}.disable_ipv6=0` in its namespace, then its addresses again: {}",
                    words::plain(&case.fact.link.name),
                    words::set_address_again(case),
                )
                .into(),
            ),
            confidence: Confidence::Certain,
            culprit: Some(Culprit::new(task)),
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::{
        fact::LinkChange,
        testing::story::cast::{ip, link},
    };

    #[test]
    fn a_sysctl_that_takes_addresses_is_named_and_a_request_is_not() {
        let sysctl =
            ["inet6addr_notifier_call_chain", "addrconf_ifdown", "addrconf_sysctl_disable", "proc_sys_write"];
        for (path, rule) in [(&sysctl[..], "ipv6-disabled"), (&sysctl[..2], "direct")] {
            let (mut story, link) = link();
            let by = ip("sysctl -w net.ipv6.conf.all.disable_ipv6=1");
            story.link(&by, LinkChange::AddressRemoved, &link, path);
            story.tell().last().verdict(rule, "certain").culprit(&by);
        }
    }
}
