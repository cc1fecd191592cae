//! What comes again: a container that is started anew and ends the same way each time, a service that sets a link down
//! over and over.

use std::collections::HashMap;

use super::Verdict;
use crate::{
    correlate::Case,
    fact::{ExitStatus, Ktime, LinkChange},
    text::Text,
};

/// Kinds of incidents remembered; those that have not come again for longest are forgotten first.
const MAX_KNOWN: usize = 4096;
/// After so long a pause it is another story. Docker waits at most a minute between two restarts, Kubernetes five.
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
pub struct Recurrences(HashMap<Key, Known>);

/// What makes two incidents the same over again: what happened, how the main process ended, and to whom.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    rule: &'static str,
    status: Option<ExitStatus>,
    whom: Whom,
}

/// Who was hit. A container keeps its id when it is started again, a link nothing but its name.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Whom {
    Container(String),
    Link(Text),
}

struct Known {
    count: u64,
    first: (u64, Ktime),
    last: (u64, Ktime),
}

impl Recurrences {
    /// Counts an incident that breaks a link, and says if it has happened before.
    pub fn count(&mut self, case: &Case, verdict: &Verdict) -> Option<Recurrence> {
        let breaks = matches!(
            case.fact.change,
            LinkChange::Down | LinkChange::ParentDown | LinkChange::CarrierLost | LinkChange::Deleted
        );
        if !breaks {
            return None;
        }
        let whom = match &case.victim {
            Some(victim) => Whom::Container(victim.id.clone()),
            None => Whom::Link(case.life.known_as.clone()),
        };
        let status = case.cause.exit().map(|ended| ended.status);
        let now = (case.incident, case.at);
        if self.0.len() >= MAX_KNOWN {
            self.forget_oldest();
        }
        let known = self
            .0
            .entry(Key { rule: verdict.rule, status, whom })
            .and_modify(|known| known.comes(now))
            .or_insert(Known { count: 1, first: now, last: now });
        (known.count > 1).then(|| Recurrence {
            count: known.count,
            first_incident: known.first.0,
            since_ns: case.at.0.saturating_sub(known.first.1.0),
        })
    }

    fn forget_oldest(&mut self) {
        let mut lasts: Vec<_> = self.0.values().map(|known| known.last.1).collect();
        lasts.sort_unstable();
        let limit = lasts[lasts.len() / 8];
        self.0.retain(|_, known| known.last.1 > limit);
    }
}

impl Known {
    fn comes(&mut self, now: (u64, Ktime)) {
        if now.1.0.saturating_sub(self.last.1.0) > PAUSE_NS {
            *self = Self { count: 1, first: now, last: now };
        } else if now.0 != self.last.0 {
            self.count += 1;
        }
        self.last = now;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::correlate::story::{Story, Told, in_cgroup, init, macvlan, netns, process, running};

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
    fn after_a_long_pause_it_is_another_story() {
        let told = restarts(&[1, 1], 700_000);
        assert_eq!(counts(&told), [Value::Null, Value::Null], "{told}");
    }
}
