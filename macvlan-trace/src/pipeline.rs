//! From a fact to a record: correlate, diagnose, publish, filter, settle, sink. Facts are the only input.

use std::{collections::BTreeMap, io};

use crate::{
    bounded::Bounded,
    correlate::{Case, Correlator},
    diagnose::{Recurrences, Verdict, diagnose},
    event::{Body, CulpritCount, Event, EventKind, Lost, Record, Summary, Task},
    fact::{Fact, Ktime, What},
    filter::{EventChoice, Filter},
    publish::{self, Clock, Opening, record},
    settle::{Happening, Settled, Unsettled},
    sink::Sink,
    text::Text,
};

#[cfg(test)]
mod tests;

/// Culprits that are counted one by one; beyond that, the oldest ones share a line.
const MAX_CULPRITS: usize = 1024;

/// Everything after the stream of facts.
pub struct Pipeline<S> {
    opening: Opening,
    correlator: Correlator,
    recurrences: Recurrences,
    unsettled: Unsettled,
    clock: Clock,
    view: View,
    is_closed: bool,
    sink: S,
    totals: Totals,
}

/// What is shown one by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Per {
    /// Each event, and each incident once it has settled.
    #[default]
    Event,
    /// Only incidents.
    Incident,
}

/// What somebody wants to see of a run.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Which events are shown.
    pub filter: Filter,
    /// What is shown one by one.
    pub per: Per,
    /// Show no more than so many of these.
    pub limit: Option<u64>,
    /// Show nothing before this, in nanoseconds since the epoch.
    pub since: Option<i128>,
    /// Show nothing after this.
    pub until: Option<i128>,
}

impl View {
    /// A view that shows everything.
    #[must_use]
    pub fn everything() -> Self {
        Self { filter: Filter { events: vec![EventChoice::All], ..Filter::default() }, ..Self::default() }
    }

    /// Whether the view shows this time.
    fn spans(&self, time: i128) -> bool {
        self.since.is_none_or(|since| since <= time) && self.until.is_none_or(|until| time <= until)
    }
}

/// Totals so far.
#[derive(Default)]
struct Totals {
    seq: u64,
    shown: u64,
    incidents: u64,
    filtered: u64,
    unattributed: u64,
    lost: u64,
    culprits: Bounded<CulpritKey, u64, MAX_CULPRITS>,
    /// Events of culprits for whom there was no room.
    others: BTreeMap<EventKind, u64>,
}

/// Events with the same key share a line of the summary.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct CulpritKey {
    event: EventKind,
    pid: Option<u32>,
    comm: Option<Text>,
    cgroup: Option<Text>,
}

impl<S: Sink> Pipeline<S> {
    /// A pipeline that has seen nothing.
    #[must_use]
    pub fn new(view: View, sink: S) -> Self {
        Self {
            opening: Opening::default(),
            correlator: Correlator::default(),
            recurrences: Recurrences::default(),
            unsettled: Unsettled::default(),
            clock: Clock::default(),
            view,
            is_closed: false,
            sink,
            totals: Totals::default(),
        }
    }

    /// Takes the next fact, and writes what it leads to.
    pub fn take(&mut self, fact: Fact) -> io::Result<()> {
        self.take_time(fact.at)?;
        let when = self.clock.when(fact.at);
        let is_shown = self.view.spans(self.clock.epoch(fact.at));
        match &fact.what {
            What::Begin(begin) => {
                self.clock = Clock::new(begin.boot);
                self.opening.begin(fact.at, begin);
            }
            What::Stock(stock) if self.view.filter.wants_kind(stock.link.kind.as_ref()) => {
                self.opening.stock(stock, &self.correlator);
            }
            What::Watching(watching) => {
                if let Some(run) =
                    std::mem::take(&mut self.opening).run(*watching, self.view.filter.kinds(), self.clock)
                {
                    self.sink.record(record(Body::Run(Box::new(run))))?;
                }
            }
            What::Clock { boot } => self.clock = Clock::new(*boot),
            What::Lost { records } => {
                self.totals.lost += records;
                // If an unknown amount may be missing from a record, only the verdicts show it.
                if *records > 0 && is_shown {
                    let lost = Lost { when, records: *records, total: self.totals.lost };
                    self.sink.record(record(Body::Lost(lost)))?;
                }
            }
            What::Full if is_shown => self.sink.record(record(Body::Notice(publish::full(when))))?,
            What::End => {
                self.settle_all(fact.at)?;
                let summary = self.totals.summary(when);
                self.sink.record(record(Body::Summary(Box::new(summary))))?;
            }
            _ => {}
        }
        let at = fact.at;
        for case in self.correlator.take(fact) {
            if self.is_closed() {
                break;
            }
            let verdict = diagnose(&case);
            let recurrence = self.recurrences.count(&case, &verdict);
            self.totals.seq += 1;
            let told = publish::Told { seq: self.totals.seq, case: &case, verdict: &verdict, recurrence };
            let record = publish::event(&told, self.clock, &self.correlator);
            self.publish(&case, &verdict, record)?;
            // What comes later is not looked at.
            if self.has_reached_limit() {
                self.settle_all(at)?;
            }
        }
        Ok(())
    }

    /// Tells what is due by now: remarks on what has not happened in time, and incidents that have settled. Both are due
    /// at times that follow from the facts, so the order is the same however often the clock ticks.
    fn take_time(&mut self, at: Ktime) -> io::Result<()> {
        let mut settled = self.unsettled.settle(at).into_iter().peekable();
        for remark in self.correlator.remarks(at) {
            while let Some(before) = settled.next_if(|settled| settled.at < remark.at) {
                self.show(before)?;
            }
            let is_shown = self.view.filter.wants_kind(remark.kind.as_ref())
                && self.view.spans(self.clock.epoch(remark.at));
            if self.is_closed() || !is_shown {
                continue;
            }
            let when = self.clock.when(remark.at);
            self.sink.record(record(Body::Notice(publish::remark(when, &remark))))?;
        }
        settled.try_for_each(|settled| self.show(settled))
    }

    fn settle_all(&mut self, at: Ktime) -> io::Result<()> {
        self.unsettled.settle_all(at).into_iter().try_for_each(|settled| self.show(settled))
    }

    /// Shows an incident that has settled, if one of its events is shown.
    fn show(&mut self, settled: Settled) -> io::Result<()> {
        let is_full = self.view.per == Per::Incident && self.has_reached_limit();
        if is_full || !settled.is_shown() {
            return Ok(());
        }
        let when = self.clock.when(settled.at);
        let Some(incident) = settled.told(when) else { return Ok(()) };
        self.totals.incidents += 1;
        self.sink.record(record(Body::Incident(Box::new(incident))))
    }

    /// Shows no more events, and the incidents of those that were shown.
    pub fn close(&mut self) {
        self.is_closed = true;
    }

    /// Whether no more events are shown: the limit is reached, or the time is up.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.is_closed || self.has_reached_limit()
    }

    fn has_reached_limit(&self) -> bool {
        let shown = match self.view.per {
            Per::Event => self.totals.shown,
            Per::Incident => self.totals.incidents,
        };
        self.view.limit.is_some_and(|limit| shown >= limit)
    }

    /// Links that the kernel has yet to delete, since their namespace or its main process has ended.
    #[must_use]
    pub fn in_teardown(&self) -> usize {
        self.correlator.in_teardown()
    }

    /// How many events and effects without an author were shown.
    #[must_use]
    pub fn shown(&self) -> u64 {
        self.totals.shown + self.totals.unattributed
    }

    /// Where the records go.
    pub fn sink(&self) -> &S {
        &self.sink
    }

    /// Ends the pipeline, and returns its sink.
    pub fn into_sink(self) -> S {
        self.sink
    }

    /// How many entries were dropped because of a limit, by kind.
    pub fn evicted(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let own = [
            ("recurrences", self.recurrences.evicted()),
            ("unsettled incidents", self.unsettled.evicted()),
            ("culprits", self.totals.culprits.evicted()),
        ];
        self.correlator.evicted().into_iter().chain(own)
    }

    fn publish(&mut self, case: &Case, verdict: &Verdict, record: Record) -> io::Result<()> {
        let in_time = self.view.spans(self.clock.epoch(case.at));
        let (event, is_shown) = match &record.body {
            Body::Event(event) => (event, in_time && self.view.filter.shows(event)),
            Body::Unattributed(event) => (event, in_time && self.view.filter.shows_unattributed(event)),
            _ => return Ok(()),
        };
        let happening = Happening {
            at: case.at,
            link: case.life.id,
            main_pid: case.main_pid,
            may_grow: case.may_grow,
            verdict,
            event,
        };
        let early = self.unsettled.add(&happening, is_shown);
        match &record.body {
            _ if !is_shown => self.totals.filtered += 1,
            Body::Unattributed(_) => self.totals.unattributed += 1,
            _ => {
                self.totals.count(event);
                self.totals.shown += 1;
            }
        }
        if is_shown && self.view.per == Per::Event {
            self.sink.record(record)?;
        }
        early.map_or(Ok(()), |early| self.show(early))
    }
}

impl Totals {
    fn count(&mut self, event: &Event) {
        let place = |task: &Task| task.unit.clone().or_else(|| task.cgroup.path.clone());
        let culprit = event.culprit.as_ref();
        let key = CulpritKey {
            event: event.event,
            pid: culprit.map(|task| task.pid),
            comm: culprit.map(|task| task.comm.clone()),
            cgroup: culprit.and_then(place),
        };
        let count = self.culprits.get_mut(&key).map_or(1, |count| *count + 1);
        if let Some((other, count)) = self.culprits.insert(key, count) {
            *self.others.entry(other.event).or_default() += count;
        }
    }

    fn summary(&self, when: crate::event::When) -> Summary {
        let others = self.others.iter().map(|(&event, &count)| {
            (CulpritKey { event, pid: None, comm: Some(Text::from("(others)")), cgroup: None }, count)
        });
        let mut culprits: Vec<_> =
            self.culprits.iter().map(|(key, &count)| (key.clone(), count)).chain(others).collect();
        culprits.sort_by(|(one, a), (other, b)| b.cmp(a).then_with(|| one.cmp(other)));
        Summary {
            when,
            events: self.shown,
            filtered: self.filtered,
            unattributed: self.unattributed,
            lost: self.lost,
            culprits: culprits
                .into_iter()
                .map(|(key, count)| CulpritCount {
                    pid: key.pid,
                    comm: key.comm,
                    cgroup: key.cgroup,
                    event: key.event,
                    count,
                })
                .collect(),
        }
    }
}
