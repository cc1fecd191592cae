//! Two parties manage one link: one sets it up, the other sets it down, again and again.

use super::network_manager;
use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
    sentence::{Part, Period, sentence},
    work::party,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "two-managers",
    page: include_str!("../../pages/two-managers.md"),
    judge: |case| {
        let rivals = case.rivals.as_ref()?;
        let Cause::Request(task) = &case.cause else { return None };
        let manager =
            [task, &rivals.upper].into_iter().find_map(|party| network_manager::leave_alone(case, party));
        let how = manager.map(|how| sentence!("; for example, have {}", how));
        let is_program = party::service(task).is_some() || party::service(&rivals.upper).is_some();
        Some(Verdict {
            rule: RULE.name,
            cause: sentence!(
                "{} set {} down and {} sets it up: they undid each other {} times, once in {}",
                words::process_with_command(task),
                Part::link(&case.fact.link.name),
                words::process_with_command(&rivals.upper),
                Part::Number(rivals.rounds.into()),
                Period(rivals.period_ns),
            ),
            remedy: Some(
                sentence!("Let only one of them manage the link, inside the container or on the host{}", how)
                    .into(),
            ),
            // Two sessions may belong to one person.
            confidence: if is_program { Confidence::Certain } else { Confidence::Likely },
            culprit: Some(Culprit::new(task)),
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::testing::story::{
        Story,
        cast::{link, of_unit},
        macvlan, netns,
    };

    const ALONE: &str = "Let only one of them manage the link, inside the container or on the host.";

    #[test]
    fn a_fight_is_told_with_its_rounds_and_its_period() {
        let (mut story, link) = link();
        let (inside, outside) = (of_unit("a.service", 901), of_unit("b.service", 902));
        for _ in 0..3 {
            story.sets_up(&inside, &link).wait_ms(1_000).sets_down(&outside, &link).wait_ms(3_000);
        }
        let told = story.tell();
        let downs: Vec<_> =
            told.events().into_iter().filter(|event| event.record["event"] == "down").collect();
        downs[0].is("/verdict/rule", "direct");
        downs[2]
            .verdict("two-managers", "certain")
            .culprit(&outside)
            .says("/verdict/cause", "3 times, once in 4.0 s")
            .is("/verdict/remedy", ALONE)
            .steps(&["up", "down", "up", "down", "up", "down"]);
    }

    #[test]
    fn a_manager_that_fights_is_told_with_how_to_have_it_leave_the_link_alone() {
        let lines = "`unmanaged-devices+=interface-name:macvlan0` into";
        let (script, manager) = (of_unit("a.service", 901), of_unit("NetworkManager.service", 902));
        for (up, down) in [(&script, &manager), (&manager, &script)] {
            let (mut story, link) = link();
            for _ in 0..2 {
                story.sets_up(up, &link).wait_ms(1_000).sets_down(down, &link).wait_ms(3_000);
            }
            story.tell().last().verdict("two-managers", "certain").says("/verdict/remedy", lines);
        }
        // What it has made itself is its own.
        let (mut story, own) = (Story::new(), macvlan("own0", netns(0), 7));
        story.creates(&manager, &own);
        for _ in 0..2 {
            story.sets_up(&manager, &own).wait_ms(1_000).sets_down(&script, &own).wait_ms(3_000);
        }
        story.tell().last().is("/verdict/rule", "two-managers").is("/verdict/remedy", ALONE);
    }

    #[test]
    fn rounds_a_day_apart_are_no_fight() {
        let (mut story, link) = link();
        for _ in 0..3 {
            story.sets_up(&of_unit("a.service", 901), &link).wait_ms(1_000);
            story.sets_down(&of_unit("b.service", 902), &link).wait_ms(86_400_000);
        }
        let told = story.tell();
        assert!(told.events().iter().all(|event| event.record["verdict"]["rule"] == "direct"), "{told}");
    }
}
