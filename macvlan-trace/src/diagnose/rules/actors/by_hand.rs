//! Somebody typed it.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, takes_away, words},
    event::Confidence,
    sentence::{Part, sentence},
    work::party,
};

/// Programs that give a person another user's rights.
const ELEVATION: [&str; 4] = ["sudo", "su", "doas", "pkexec"];

/// The rule.
pub const RULE: Rule = Rule {
    name: "by-hand",
    page: include_str!("../../pages/by-hand.md"),
    judge: |case| {
        let Cause::Request(task) = &case.cause else { return None };
        let breaks = takes_away(case);
        let is_service = party::service(task).is_some();
        let elevated = party::called_by(task, &ELEVATION);
        // A terminal, or a login user who has become root: a daemon has neither. The terminal of a container is not a
        // person's (`docker run -t`).
        let by_hand = task.tty.is_some() || (task.login_uid.is_some() && elevated.is_some());
        if !breaks || is_service || !by_hand || case.actor_container.is_some() {
            return None;
        }
        let user = task.login_uid.map(|uid| sentence!(", logged in as user {}", Part::name(&uid)));
        let through = elevated.map(|by| sentence!(", through {}", Part::name(&by.comm)));
        let place = task.tty.as_ref().map(|tty| sentence!(", at {}", Part::name(tty)));
        Some(Verdict {
            rule: RULE.name,
            cause: sentence!(
                "{} {}, by hand{}{}{}{}",
                words::process_with_command(task),
                words::deed(case),
                user,
                through,
                place,
                words::age(case, task)
            ),
            remedy: words::undo_down(case, "If it was a mistake: ", None),
            // A script in a terminal looks the same.
            confidence: Confidence::Likely,
            culprit: Some(Culprit::new(task)),
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::{
        testing::story::{
            Story,
            cast::{ip, link, setup},
            child_of, in_cgroup, init, macvlan, netns, process,
        },
        text::Text,
    };

    #[test]
    fn a_person_is_told_by_a_terminal_and_a_daemon_has_none() {
        let (mut story, link) = link();
        let mut by = child_of(ip("ip link set macvlan0 down"), &process("sudo", 870));
        (by.tty, by.login_uid) = (Some(Text::from("pts0")), Some(1000));
        by = in_cgroup(by, "/user.slice/user-1000.slice/session-3.scope");
        story
            .sets_down(&by, &link)
            .tell()
            .last()
            .verdict("by-hand", "likely")
            .says("/verdict/cause", "by hand, logged in as user 1000, through sudo, at pts0");
        let (mut story, link) = self::link();
        story
            .sets_down(&in_cgroup(by, "/system.slice/cron.service"), &link)
            .tell()
            .last()
            .verdict("direct", "certain");
    }

    #[test]
    fn a_containers_terminal_is_its_own() {
        let (link, inside) = (macvlan("eth0", netns(1), 2), netns(1));
        let in_container = |task| in_cgroup(task, &format!("/docker/{}", "a".repeat(64)));
        let mut by = in_container(ip("ip link set eth0 down"));
        by.tty = Some(Text::from("pts0"));
        let mut story = Story::new();
        story.creates(&setup(), &link).found_in(inside, &in_container(init("sh", 812))).sets_down(&by, &link);
        story.tell().last().verdict("direct", "certain").culprit(&by);
    }
}
