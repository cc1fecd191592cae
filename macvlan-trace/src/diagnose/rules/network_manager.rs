//! A manager of the host's network changed a link that it was not meant to touch.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    enrich::party,
    event::Confidence,
    fact::{LinkChange, Task},
    text::Text,
};

const NETWORK_MANAGER: [&str; 2] = ["NetworkManager.service", "network-manager.service"];
const NETWORKD: [&str; 1] = ["systemd-networkd.service"];
const OTHERS: [&str; 3] = ["connman.service", "wickedd.service", "wicked.service"];

/// The rule.
pub const RULE: Rule = Rule {
    name: "network-manager",
    page: include_str!("../pages/network-manager.md"),
    judge: |case| {
        let Cause::Request(task) = &case.cause else { return None };
        // What it has made itself, by a profile or a .netdev file, is its own.
        let is_own =
            case.life.creator.as_ref().is_some_and(|creator| party::unit(creator) == party::unit(task));
        if case.fact.change == LinkChange::Created || is_own {
            return None;
        }
        let link = words::plain(&case.fact.link.name);
        let remedy = if party::is_of_unit(task, &NETWORK_MANAGER) {
            format!(
                "Have NetworkManager leave it alone: put `[keyfile]` and \
                 `unmanaged-devices+=interface-name:{link}` into /etc/NetworkManager/conf.d/90-macvlan.conf, then \
                 `systemctl reload NetworkManager`{}.",
                whence(task, &case.fact.link.name)
            )
        } else if party::is_of_unit(task, &NETWORKD) {
            format!(
                "Have networkd leave it alone: put `[Match]`, `Name={link}`, `[Link]` and `Unmanaged=yes` into \
                 /etc/systemd/network/05-macvlan.network, then `networkctl reload`; and narrow the `[Match]` that \
                 catches it{}.",
                whence(task, &case.fact.link.name)
            )
        } else if party::is_of_unit(task, &OTHERS) {
            "Have it leave links of containers alone; see its own documentation.".to_owned()
        } else {
            return None;
        };
        let unit = party::unit(task).unwrap_or_default();
        let why = match &case.reaction {
            Some(lost) => format!(
                ", {} after its parent {} had lost its carrier",
                words::duration(lost.at, case.at),
                lost.parent.name
            ),
            _ => words::age(case, task),
        };
        Some(Verdict {
            rule: RULE.name,
            cause: format!("{} of {unit} {}{why}", words::process_with_command(task), words::deed(case)),
            remedy: Some(remedy.into()),
            confidence: Confidence::Certain,
            culprit: Some(Culprit::new(task)),
        })
    },
};

/// Where a manager says why it did it: NetworkManager writes to its log which client asked, which is not seen, and networkd
/// knows the file that it went by. Nothing for others.
pub(super) fn whence(task: &Task, link: &Text) -> String {
    if party::is_of_unit(task, &NETWORK_MANAGER) {
        "; if a client asked for it, `journalctl -u NetworkManager --grep audit:` names that and the connection profile"
            .to_owned()
    } else if party::is_of_unit(task, &NETWORKD) {
        format!("; `networkctl status {}` names the file that told it to", words::plain(link))
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        correlate::story::{
            cast::{eth0, link, of_unit},
            path::{DRIVER, LINKWATCH},
            worker,
        },
        fact::LinkChange,
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
