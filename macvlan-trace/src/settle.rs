//! Incidents until they settle: their events, and what becomes of their links.
//!
//! An incident settles when nothing of it has come for a while. When that is follows from the facts' times alone, so a
//! record needs no tick for it.

use std::collections::BTreeSet;

use crate::{
    bounded::Bounded,
    diagnose::{self, aftermath, aftermath::Aftermath},
    event::{
        Container, Event, EventKind, Incident, IncidentLink, Moment, Outcome, Recurrence, Task, Verdict, When,
    },
    fact::Ktime,
    sentence::Sentence,
};

#[cfg(test)]
mod tests;

/// Incidents under way. If there are more, the one that was quiet for longest settles early.
const MAX_OPEN: usize = 4096;
/// Links of all of them.
const MAX_LINKS: usize = 65_536;
/// Links of an incident that are told one by one.
const MAX_TOLD: usize = 256;
/// Addresses that are told of a link, and containers of an incident.
const MAX_LISTED: usize = 64;

/// How long an incident is quiet before it settles: a service that is restarted is back by then.
const QUIET_NS: u64 = 10_000_000_000;
/// The same once all its links are gone and no others may join: a parent takes all its links along at once.
const GONE_NS: u64 = 1_000_000_000;
/// What goes on for longer is told in parts.
const LONGEST_NS: u64 = 600_000_000_000;
/// Incidents settle at multiples of this time.
const TOGETHER_NS: u64 = 500_000_000;

/// The incidents under way.
#[derive(Default)]
pub struct Unsettled {
    open: Bounded<u64, Open, MAX_OPEN>,
    /// When each settles, and its number.
    due: BTreeSet<(Ktime, u64)>,
    /// By incident and link.
    links: Bounded<(u64, u64), Link, MAX_LINKS>,
    /// The incidents of each link.
    incidents_of: BTreeSet<(u64, u64)>,
}

/// An incident that has settled.
pub struct Settled {
    /// When.
    pub at: Ktime,
    number: u64,
    open: Open,
    links: Vec<Link>,
}

/// An incident under way.
struct Open {
    began: Ktime,
    due: Ktime,
    first: When,
    last: When,
    events: u64,
    /// Its links, in the order of their first events.
    links: Vec<u64>,
    /// How many more there was no room for.
    forgotten: u64,
    /// How many are gone.
    gone: usize,
    /// Whether others may still join.
    may_grow: bool,
    victims: Vec<Container>,
    recurrence: Option<Recurrence>,
    /// Why the first break happened, and who is responsible; `None` while nothing is broken.
    why: Option<Why>,
    is_shown: bool,
}

/// Why a break happened.
struct Why {
    verdict: diagnose::Verdict,
    public: Verdict,
    culprit: Option<Task>,
}

/// A link of an incident.
struct Link {
    told: IncidentLink,
    /// What broke it and has not been undone, and since when.
    broken: BTreeSet<EventKind>,
    since: Ktime,
    /// Whether it was set down.
    was_down: bool,
    /// Process id of the main process of its namespace.
    main_pid: Option<u32>,
}

/// An event of a link, with what is behind it.
pub struct Happening<'a> {
    /// When.
    pub at: Ktime,
    /// The link's id.
    pub link: u64,
    /// Process id of the main process of its namespace.
    pub main_pid: Option<u32>,
    /// Whether other links may still join its incident, after a pause.
    pub may_grow: bool,
    /// Its verdict.
    pub verdict: &'a diagnose::Verdict,
    /// Its public form.
    pub event: &'a Event,
}

impl Unsettled {
    /// Takes an event, and whether the viewer wants it. Returns the incident that settles early for it, if
    /// there was no room.
    pub fn add(&mut self, happening: &Happening<'_>, is_shown: bool) -> Option<Settled> {
        let Happening { at, link, event, .. } = *happening;
        let number = event.incident;
        // What its author did to a link before is no part of the incident: it came up, by the same process.
        let begins = event.breaks || event.event == EventKind::AddressRemoved;
        let mut early = None;
        if begins && self.open.get(&number).is_none() {
            early = self.open.insert(number, Open::new(at, event));
        }
        if self.open.get(&number).is_some() {
            let is_new = self.links.get(&(number, link)).is_none();
            if is_new {
                self.add_link(number, happening);
            }
            if let Some(open) = self.open.get_mut(&number) {
                open.take(happening, is_shown);
                open.links.extend(is_new.then_some(link));
            }
            if let Some(known) = self.links.get_mut(&(number, link)) {
                known.take(at, event);
            }
        }
        // What one incident broke, another one may undo.
        let incidents = self.incidents_of.range((link, 0)..=(link, u64::MAX));
        for number in incidents.map(|(_, number)| *number).collect::<Vec<_>>() {
            let known = self.links.get_mut(&(number, link));
            if known.is_some_and(|known| known.is_gone_after(at, event.event)) {
                if let Some(open) = self.open.get_mut(&number) {
                    open.gone += 1;
                }
            }
        }
        if let Some(open) = self.open.get_mut(&number) {
            self.due.remove(&(open.due, number));
            open.postpone(at);
            self.due.insert((open.due, number));
        }
        early.map(|(number, open)| self.close(at, number, open))
    }

    /// Those that have been quiet for long enough, in order.
    pub fn settle(&mut self, at: Ktime) -> Vec<Settled> {
        let judged = Ktime(at.0 - at.0 % TOGETHER_NS);
        let mut settled = Vec::new();
        while let Some(&(due, number)) = self.due.first().filter(|(due, _)| *due <= judged) {
            self.due.pop_first();
            settled.extend(self.open.remove(&number).map(|open| self.close(due, number, open)));
        }
        settled
    }

    /// All others, at the end of the stream.
    pub fn settle_all(&mut self, at: Ktime) -> Vec<Settled> {
        let numbers: BTreeSet<u64> =
            std::mem::take(&mut self.due).into_iter().map(|(_, number)| number).collect();
        let mut settled = Vec::new();
        for number in numbers {
            settled.extend(self.open.remove(&number).map(|open| self.close(at, number, open)));
        }
        settled
    }

    /// How many incidents and links were pushed out by others.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.open.evicted() + self.links.evicted()
    }

    fn add_link(&mut self, number: u64, happening: &Happening<'_>) {
        let link = happening.link;
        self.incidents_of.insert((link, number));
        if let Some(((of, forgotten), dropped)) = self.links.insert((number, link), Link::new(happening)) {
            self.incidents_of.remove(&(forgotten, of));
            if let Some(open) = self.open.get_mut(&of) {
                open.links.retain(|known| *known != forgotten);
                open.forgotten += 1;
                open.gone -= usize::from(dropped.told.outcome == Outcome::Gone);
            }
        }
    }

    fn close(&mut self, at: Ktime, number: u64, open: Open) -> Settled {
        self.due.remove(&(open.due, number));
        let mut links = Vec::new();
        for link in &open.links {
            self.incidents_of.remove(&(*link, number));
            links.extend(self.links.remove(&(number, *link)));
        }
        Settled { at, number, open, links }
    }
}

impl Open {
    fn new(at: Ktime, event: &Event) -> Self {
        Self {
            began: at,
            due: at,
            first: event.when.clone(),
            last: event.when.clone(),
            events: 0,
            links: Vec::new(),
            forgotten: 0,
            gone: 0,
            may_grow: false,
            victims: Vec::new(),
            recurrence: event.recurrence,
            why: None,
            is_shown: false,
        }
    }

    fn take(&mut self, happening: &Happening<'_>, is_shown: bool) {
        let Happening { verdict, event, .. } = *happening;
        self.last.clone_from(&event.when);
        self.events += 1;
        self.is_shown |= is_shown;
        self.may_grow |= happening.may_grow;
        let shared_with = event.breaks.then_some(&event.victim.shared_with).into_iter().flatten();
        for victim in event.victim.container.iter().chain(shared_with) {
            if self.victims.len() < MAX_LISTED && self.victims.iter().all(|known| known.id != victim.id) {
                self.victims.push(victim.clone());
            }
        }
        if self.why.is_none() && event.breaks {
            self.why = Some(Why {
                verdict: verdict.clone(),
                public: event.verdict.clone(),
                culprit: event.culprit.clone(),
            });
            self.recurrence = event.recurrence;
        }
    }

    /// It settles some time after what has just happened.
    fn postpone(&mut self, at: Ktime) {
        let pause = if self.gone == self.links.len() && !self.may_grow { GONE_NS } else { QUIET_NS };
        let latest = self.began.0.saturating_add(LONGEST_NS);
        let due = at.0.saturating_add(pause).min(latest);
        self.due = Ktime(due.div_ceil(TOGETHER_NS).saturating_mul(TOGETHER_NS));
    }
}

impl Link {
    fn new(happening: &Happening<'_>) -> Self {
        let Happening { main_pid, event, .. } = *happening;
        let moment = Moment { when: event.when.clone(), event: event.event };
        let told = IncidentLink {
            id: event.link.id.clone(),
            name: event.link.name.clone(),
            netns: event.link.netns.clone(),
            container: event.victim.container.clone(),
            first: moment.clone(),
            last: moment,
            outcome: Outcome::Intact,
            up_again_ns: None,
            lost_addresses: Vec::new(),
        };
        Self { told, broken: BTreeSet::new(), since: Ktime(0), was_down: false, main_pid }
    }

    /// An event of the incident itself.
    fn take(&mut self, at: Ktime, event: &Event) {
        self.told.last = Moment { when: event.when.clone(), event: event.event };
        if let Some(address) = event.address.as_ref().filter(|_| event.event == EventKind::AddressRemoved) {
            let lost = &mut self.told.lost_addresses;
            if lost.len() < MAX_LISTED && !lost.contains(address) {
                lost.push(address.clone());
            }
        }
        // A change that was refused leaves the link as it was, and nobody sees an address that is set again.
        let has_no_end = matches!(
            event.event,
            EventKind::MacFailed
                | EventKind::MoveFailed
                | EventKind::RenameFailed
                | EventKind::AddressRemoved
        );
        if !event.breaks || has_no_end {
            return;
        }
        if self.broken.is_empty() {
            self.since = at;
        }
        self.broken.insert(event.event);
        self.was_down |= event.event == EventKind::Down;
        self.told.up_again_ns = None;
        if self.told.outcome != Outcome::Gone {
            self.told.outcome = Outcome::Broken;
        }
    }

    fn aftermath(&self) -> Aftermath<'_> {
        Aftermath {
            link: &self.told.name,
            outcome: self.told.outcome,
            up_again_ns: self.told.up_again_ns,
            was_down: self.was_down,
            main_pid: self.main_pid,
            lost: &self.told.lost_addresses,
        }
    }

    /// An event of any incident. Returns whether the link is gone with it.
    fn is_gone_after(&mut self, at: Ktime, event: EventKind) -> bool {
        if self.told.outcome == Outcome::Gone {
            return false;
        }
        if matches!(event, EventKind::Deleted | EventKind::CreateFailed) {
            self.told.outcome = Outcome::Gone;
            self.told.up_again_ns = None;
            return true;
        }
        self.broken.retain(|broken_by| !undoes(event, *broken_by));
        if self.told.outcome == Outcome::Broken && self.broken.is_empty() {
            self.told.outcome = Outcome::UpAgain;
            self.told.up_again_ns = Some(at.0.saturating_sub(self.since.0));
        }
        false
    }
}

/// Whether an event undoes an earlier one. If a carrier comes back with the parent, only the latter is an event.
fn undoes(event: EventKind, earlier: EventKind) -> bool {
    match event {
        EventKind::Up => matches!(earlier, EventKind::Down | EventKind::UpFailed),
        EventKind::ParentUp => matches!(earlier, EventKind::ParentDown | EventKind::CarrierLost),
        EventKind::CarrierBack => earlier == EventKind::CarrierLost,
        _ => false,
    }
}

impl Settled {
    /// Whether the viewer wants one of its events.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        self.open.is_shown
    }

    /// Its public form; `None` if nothing is broken.
    #[must_use]
    pub fn told(self, when: When) -> Option<Incident> {
        let Why { verdict, public, culprit } = self.open.why?;
        let became: Vec<_> = self.links.iter().map(Link::aftermath).collect();
        let verdict = Verdict {
            cause: aftermath::cause(verdict.cause, &became).full_stop(),
            remedy: aftermath::remedy(verdict.remedy, &became).map(Sentence::full_stop),
            ..public
        };
        Some(Incident {
            when,
            incident: self.number,
            recurrence: self.open.recurrence,
            first: self.open.first,
            last: self.open.last,
            events: self.open.events,
            link_count: self.open.forgotten + self.links.len() as u64,
            links: self.links.into_iter().map(|link| link.told).take(MAX_TOLD).collect(),
            victims: self.open.victims,
            culprit,
            verdict,
        })
    }
}
