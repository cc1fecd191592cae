//! What the table has shown of each incident, so that it does not repeat it for each victim.

use std::collections::VecDeque;

use crate::{
    bounded::Bounded,
    event::{Confidence, Event, Incident, Task, Verdict},
    sentence::Sentence,
};

/// How many incidents are remembered; an event of a forgotten one shows everything again.
const KEPT: usize = 64;
/// How many causes and remedies are remembered of an incident.
const SENTENCES: usize = 8;

/// The latest incidents, by number.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    told: Bounded<u64, Block, KEPT>,
    /// The one whose block is open: the last rows are its own.
    open: Option<u64>,
}

/// What the table has shown of one.
#[derive(Debug)]
struct Block {
    /// The causes, latest last: containers that end together have one each, and their events take turns.
    whys: VecDeque<Why>,
    remedies: Bounded<Sentence, (), SENTENCES>,
}

/// What stands above an event's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heading {
    /// Nothing: its row belongs to the open block.
    None,
    /// The incident's number, since another incident's block is open.
    Again,
    /// The incident's number, and which earlier incident it repeats.
    Like,
    /// The incident's number and its cause.
    Full {
        /// Whether its remedy is new.
        remedy: bool,
    },
}

/// How the line that closes a block stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    /// At the end of the incident's block, which is open.
    Open {
        /// Whether its remedy is new.
        remedy: bool,
    },
    /// By itself, since another incident's block is open.
    Again {
        /// Whether its remedy is new.
        remedy: bool,
    },
    /// Under the incident's heading: nothing of it was shown, or that is forgotten.
    New,
}

impl Blocks {
    /// How the line that closes an incident's block stands. No block is open after that.
    pub(super) fn closing(&mut self, incident: &Incident) -> Closing {
        let is_open = self.open.take() == Some(incident.incident);
        match self.told.get_mut(&incident.incident) {
            Some(told) if is_open => Closing::Open { remedy: told.is_new(incident.verdict.remedy.as_ref()) },
            Some(told) => Closing::Again { remedy: told.is_new(incident.verdict.remedy.as_ref()) },
            None => Closing::New,
        }
    }

    /// What stands above an event's row.
    pub(super) fn heading(&mut self, event: &Event) -> Heading {
        let is_open = self.open.replace(event.incident) == Some(event.incident);
        if let Some(told) = self.told.get_mut(&event.incident) {
            if told.has_under_last(event) {
                return if is_open { Heading::None } else { Heading::Again };
            }
            if told.whys.len() >= SENTENCES {
                told.whys.pop_front();
            }
            told.whys.push_back(Why::of(event));
            return Heading::Full { remedy: told.is_new(event.verdict.remedy.as_ref()) };
        }
        let like = event.recurrence.is_some_and(|before| self.has_said(before.first_incident, event));
        let mut told = Block { whys: [Why::of(event)].into(), remedies: Bounded::default() };
        let heading = if like {
            Heading::Like
        } else {
            Heading::Full { remedy: told.is_new(event.verdict.remedy.as_ref()) }
        };
        self.told.insert(event.incident, told);
        heading
    }

    /// Whether the block of an incident has shown the same, whichever process it was. It is remembered as long as it
    /// repeats.
    fn has_said(&mut self, incident: u64, event: &Event) -> bool {
        let is_like = |told: &Block| told.whys.iter().any(|why| why.is_that_of(event));
        self.told.get(&incident).is_some_and(is_like) && self.told.get_mut(&incident).is_some()
    }
}

impl Block {
    /// Whether the cause of an event stands under the block's last heading: the last of those shown, or one before it
    /// with the same rule and culprit, if the row says whose link it was.
    fn has_under_last(&self, event: &Event) -> bool {
        let is_headed = |why: &&Why| why.has_heading_of(event);
        let says_whose = event.culprit.is_some() && event.victim.container.is_some();
        let looked_at = if says_whose { self.whys.len() } else { 1 };
        self.whys.iter().rev().take(looked_at).take_while(is_headed).any(|why| why.is_that_of(event))
    }

    /// Whether a remedy has not been given yet; it counts as given from now on.
    fn is_new(&mut self, remedy: Option<&Sentence>) -> bool {
        let Some(remedy) = remedy.filter(|remedy| self.remedies.get(*remedy).is_none()) else { return false };
        self.remedies.insert(remedy.clone(), ());
        true
    }
}

/// Why something happened, as it was shown.
#[derive(Debug)]
struct Why {
    rule: String,
    confidence: Confidence,
    culprit: Option<(u32, u64)>,
    cause: Sentence,
}

impl Why {
    fn of(event: &Event) -> Self {
        let Verdict { rule, confidence, cause, .. } = &event.verdict;
        Self { rule: rule.clone(), confidence: *confidence, culprit: culprit(event), cause: cause.clone() }
    }

    /// Whether the heading of another event names the same rule, confidence and culprit.
    fn has_heading_of(&self, event: &Event) -> bool {
        let Verdict { rule, confidence, .. } = &event.verdict;
        self.rule == *rule && self.confidence == *confidence && self.culprit == culprit(event)
    }

    /// Whether it is why another event happened, whichever link it was and whichever process.
    fn is_that_of(&self, event: &Event) -> bool {
        let Verdict { rule, confidence, cause, .. } = &event.verdict;
        self.rule == *rule && self.confidence == *confidence && self.cause.is_like(cause)
    }
}

/// The process id of the culprit, and when it started.
fn culprit(event: &Event) -> Option<(u32, u64)> {
    event.culprit.as_ref().map(|Task { pid, start_boot_ns, .. }| (*pid, *start_boot_ns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Container, EventKind, Recurrence};
    use crate::sentence::{Part, Period, sentence};
    use crate::testing::records;

    fn event(incident: u64, cause: impl Into<Sentence>) -> Event {
        let mut event = records::event(EventKind::Deleted);
        event.incident = incident;
        event.recurrence = None;
        event.verdict.cause = cause.into();
        event.verdict.remedy = Some("Do not.".into());
        event
    }

    fn sh(comm: &str, pid: u32) -> Part {
        Part::Process { comm: comm.into(), pid, command: None }
    }

    const FULL: Heading = Heading::Full { remedy: true };

    #[test]
    fn the_same_cause_is_said_once_whichever_link_it_names_and_however_old_that_was() {
        let mut incidents = Blocks::default();
        let mut told = |comm: &str, name: &str, age| {
            let link = || Part::Link(name.into());
            let cause = sentence!(
                "{} ended, {} after {} came up; {} went too",
                sh(comm, 812),
                Period(age),
                link(),
                link()
            );
            incidents.heading(&event(1, cause))
        };
        assert_eq!(told("sh", "eth0", 0), FULL);
        assert_eq!(told("sh", "macvlan17", 12_000_000), Heading::None);
        assert_eq!(told("sh", "veth5d8a3c1", 7_260_000_000_000), Heading::None);
        // Names that read like what differs for every victim.
        for comm in ["12", "ms", "less", "macvlan17"] {
            assert_eq!(told(comm, "macvlan17", 12_000_000), Heading::Full { remedy: false });
            assert_eq!(told(comm, "ms", 0), Heading::None);
        }
    }

    #[test]
    fn another_rule_culprit_confidence_or_cause_is_said_and_its_remedy_once() {
        let mut incidents = Blocks::default();
        let first = event(1, "ip asked for it.");
        assert_eq!(incidents.heading(&first), FULL);
        let changes: [fn(&mut Event); 4] = [
            |event| event.verdict.rule = "parent-deleted".into(),
            |event| event.verdict.confidence = Confidence::Likely,
            |event| event.culprit = None,
            |event| event.verdict.cause = "It went with its parent.".into(),
        ];
        for change in changes {
            let mut other = first.clone();
            change(&mut other);
            assert_eq!(incidents.heading(&other), Heading::Full { remedy: false });
            assert_eq!(incidents.heading(&other), Heading::None);
        }
        let mut other = first.clone();
        (other.verdict.rule, other.verdict.remedy) = ("by-hand".into(), Some("Ask first.".into()));
        assert_eq!(incidents.heading(&other), FULL);
    }

    #[test]
    fn containers_that_end_together_are_explained_once_each() {
        let mut incidents = Blocks::default();
        let stopped = |container: &str| {
            let named = Part::Container(container.into());
            let mut event = event(1, sentence!("{} sent SIGTERM to {}", sh("sh", 812), named));
            let id = container.to_owned();
            event.victim.container = Some(Container { runtime: None, id, name: None, pod: None });
            event
        };
        let mut told = |container: &str| incidents.heading(&stopped(container));
        assert_eq!(["web", "db"].map(&mut told), [FULL, Heading::Full { remedy: false }]);
        assert_eq!(["web", "db", "web"].map(&mut told), [Heading::None; 3]);
        // Under another rule's heading, the row would be taken for one of that rule.
        let mut other = event(1, "It went with its parent.");
        other.verdict.rule = "parent-deleted".into();
        assert_eq!(incidents.heading(&other), Heading::Full { remedy: false });
        let again =
            event(1, sentence!("{} sent SIGTERM to {}", sh("sh", 812), Part::Container("web".into())));
        assert_eq!(incidents.heading(&again), Heading::Full { remedy: false });
    }

    #[test]
    fn incidents_that_take_turns_are_named_at_each_turn() {
        let mut incidents = Blocks::default();
        let (one, two) = (event(1, "a"), event(2, "b"));
        assert_eq!([&one, &two].map(|event| incidents.heading(event)), [FULL; 2]);
        assert_eq!(
            [&one, &one, &two].map(|event| incidents.heading(event)),
            [Heading::Again, Heading::None, Heading::Again]
        );
    }

    #[test]
    fn what_comes_again_is_not_explained_again_while_it_goes_on() {
        let mut incidents = Blocks::default();
        let mut again = |incident, first_incident, (comm, pid)| {
            let mut event = event(incident, sentence!("{} ended", sh(comm, pid)));
            event.recurrence = Some(Recurrence { count: 2, first_incident, since_ns: 1 });
            incidents.heading(&event)
        };
        // The first was not shown, since a filter hides it.
        assert_eq!(again(2, 1, ("sh", 812)), FULL);
        for incident in 3..3 + 2 * KEPT as u64 {
            assert_eq!(again(incident, 2, ("sh", 900)), Heading::Like);
            assert_eq!(again(incident, 2, ("sh", 900)), Heading::None);
        }
        assert_eq!(again(1000, 2, ("dd", 900)), FULL);
    }

    #[test]
    fn what_is_remembered_has_a_limit_and_forgets_the_oldest() {
        let mut incidents = Blocks::default();
        for incident in 0..=KEPT as u64 {
            assert_eq!(incidents.heading(&event(incident, "a")), FULL);
        }
        assert_eq!(incidents.told.len(), KEPT);
        assert_eq!(incidents.heading(&event(1, "a")), Heading::Again);
        assert_eq!(incidents.heading(&event(0, "a")), FULL);
        for remedy in 0..=SENTENCES {
            let mut event = event(1, "a");
            event.verdict.rule = remedy.to_string();
            event.verdict.remedy = Some(remedy.to_string().into());
            assert_eq!(incidents.heading(&event), FULL);
        }
        assert_eq!(incidents.told.newest().map(|(_, told)| told.remedies.len()), Some(SENTENCES));
    }
}
