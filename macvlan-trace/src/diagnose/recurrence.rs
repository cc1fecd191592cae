//! Incidents that repeat: a container that is started again and ends the same way each time, a service that sets a link
//! down over and over.

use super::{Verdict, breaks};
use crate::{
    bounded::Bounded,
    correlate::Case,
    fact::{ExitStatus, Ktime},
    text::Text,
};

/// Kinds of incidents remembered.
const MAX_KNOWN: usize = 4096;
/// After this pause an incident is no repetition. Docker waits at most a minute between two restarts, Kubernetes five.
const PAUSE_NS: u64 = 600_000_000_000;

/// An incident that has happened before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recurrence {
    /// How often, this time included.
    pub count: u64,
    /// The number of the first.
    pub first_incident: u64,
    /// How long ago the first was, in nanoseconds.
    pub since_ns: u64,
}

/// What has happened before.
#[derive(Default)]
pub struct Recurrences(Bounded<Key, Known, MAX_KNOWN>);

/// An incident repeats another one with the same key: what happened, how the main process ended, who did it, and to
/// whom.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    rule: &'static str,
    status: Option<ExitStatus>,
    culprit: Option<(Text, Option<Text>)>,
    link: Text,
    whose: Whose,
}

/// The owner of the link. A container keeps its id when it is started again. Without a container, the namespace counts,
/// unless it ended with its main process: then it is a new one each time.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Whose {
    Container(String),
    Ended,
    Namespace(u64),
}

struct Known {
    count: u64,
    first: (u64, Ktime),
    last: (u64, Ktime),
}

impl Key {
    /// `None` if the owner of the link is not known.
    fn of(case: &Case, verdict: &Verdict) -> Option<Self> {
        let status = case.cause.exit().map(|ended| ended.status);
        let whose = match (&case.victim, status) {
            (Some(victim), _) => Whose::Container(victim.id.clone()),
            (None, Some(_)) => Whose::Ended,
            (None, None) => Whose::Namespace(case.home?),
        };
        let culprit = verdict.culprit.as_ref().map(|culprit| &culprit.task);
        let culprit = culprit.map(|task| (task.task.comm.clone(), task.cgroup.path.clone()));
        Some(Self { rule: verdict.rule, status, culprit, link: case.life.known_as.clone(), whose })
    }
}

impl Recurrences {
    /// Counts an incident that is shown by default, and says if it has happened before.
    pub fn count(&mut self, case: &Case, verdict: &Verdict) -> Option<Recurrence> {
        if !breaks(case) {
            return None;
        }
        while self.0.pop_oldest_if(|known| case.at.0.saturating_sub(known.last.1.0) > PAUSE_NS).is_some() {}
        let now = (case.incident, case.at);
        let fresh = || Known { count: 0, first: now, last: (0, case.at) };
        let known = self.0.get_or_insert_with(Key::of(case, verdict)?, fresh);
        known.comes(now);
        (known.first.0 != case.incident).then(|| Recurrence {
            count: known.count,
            first_incident: known.first.0,
            since_ns: case.at.0.saturating_sub(known.first.1.0),
        })
    }

    /// How many were pushed out by others.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.0.evicted()
    }
}

impl Known {
    fn comes(&mut self, now: (u64, Ktime)) {
        if now.0 > self.last.0 {
            self.count += 1;
            self.last = now;
        } else {
            // Another event of an incident that is counted already: numbers of incidents only grow.
            self.last.1 = now.1;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::fact::Netns;
    use crate::testing::story::{Story, Told, in_cgroup, init, macvlan, netns, next_at, process, running};

    /// A container whose main process ends with these codes, one start after the other.
    fn restarts(codes: &[u8], pause_ms: u64) -> Told {
        let cgroup = format!("/system.slice/docker-{}.scope", "a".repeat(64));
        let runtime = in_cgroup(running(process("dockerd", 700), "dockerd"), "/system.slice/docker.service");
        let mut story = Story::new();
        for (round, &code) in (1..).zip(codes) {
            let inside = netns(round);
            let (main, link) =
                (in_cgroup(init("sh", 800 + round), &cgroup), macvlan("eth0", inside, 10 + round));
            story.creates(&runtime, &link).sets_up(&runtime, &link).wait_ms(500);
            story.exits(&main, inside, code).sets_down(&runtime, &link).deletes(&runtime, &link);
            story.wait_ms(pause_ms);
        }
        story.tell()
    }

    fn counts(told: &Told) -> Vec<Value> {
        let deleted = told.events().into_iter().filter(|event| event.record["event"] == "deleted");
        deleted.map(|event| event.record["recurrence"]["count"].clone()).collect()
    }

    #[test]
    fn a_crash_loop_is_counted_and_leads_back_to_its_beginning() {
        let told = restarts(&[1, 1, 1], 2_000);
        assert_eq!(counts(&told), [Value::Null, 2.into(), 3.into()], "{told}");
        let incidents = told.incidents();
        let last = told.last();
        let first = told.events().into_iter().find(|event| event.record["event"] == "down");
        let first = first.unwrap_or_else(|| panic!("one is a down: {told}"));
        last.is("/recurrence/first_incident", first.record["incident"].clone())
            .is("/recurrence/since_ns", 5_011_000_000_u64);
        assert_eq!(incidents.last(), last.record["incident"].as_u64().as_ref(), "{told}");
    }

    #[test]
    fn another_end_is_another_story() {
        let told = restarts(&[1, 2, 1], 2_000);
        assert_eq!(counts(&told), [Value::Null, Value::Null, 2.into()], "{told}");
    }

    #[test]
    fn two_that_do_the_same_or_one_that_does_it_to_two_links_do_not_come_again() {
        let links = [macvlan("eth0", netns(1), 7), macvlan("eth1", netns(1), 8)];
        let [cron, backup] = ["cron", "backup"].map(|unit| {
            in_cgroup(running(process("ip", 900), "ip link set"), &format!("/system.slice/{unit}.service"))
        });
        let mut story = Story::new();
        for link in &links {
            story.creates(&process("setup", 600), link);
        }
        story.sets_down(&cron, &links[0]).sets_down(&cron, &links[1]).sets_down(&backup, &links[0]);
        let told = story.tell();
        for event in told.events() {
            event.is("/recurrence", Value::Null);
        }
    }

    #[test]
    fn the_next_namespace_at_an_address_is_another_story_than_the_one_before() {
        let cron = in_cgroup(running(process("ip", 900), "ip link set"), "/system.slice/cron.service");
        let counts = |second: Netns| {
            let mut story = Story::new();
            for netns in [netns(1), second] {
                let link = macvlan("eth0", netns, 7);
                story.creates(&process("setup", 600), &link).sets_up(&process("setup", 600), &link);
                story.sets_down(&cron, &link).deletes(&cron, &link).wait_ms(3_000);
            }
            counts(&story.tell())
        };
        assert_eq!(counts(netns(1)), [Value::Null, 2.into()]);
        assert_eq!(counts(next_at(netns(1))), [Value::Null, Value::Null]);
    }

    #[test]
    fn after_a_long_pause_it_is_another_story() {
        let told = restarts(&[1, 1], 700_000);
        assert_eq!(counts(&told), [Value::Null, Value::Null], "{told}");
    }
}
