//! The way from a fact to a line: correlate, diagnose, filter, sink.

use std::{collections::HashMap, io};

use crate::{
    correlate::{Correlator, Settings},
    diagnose::{Recurrences, diagnose},
    event::{Body, CulpritCount, Event, EventKind, Lost, Notice, Record, Summary, Task},
    fact::{Fact, Ktime, What},
    filter::Filter,
    publish::{self, Clock, record},
    sink::Sink,
    text::Text,
};

#[cfg(test)]
mod streams;
#[cfg(test)]
mod tests;

/// Culprits counted one by one; beyond that they share a line.
const MAX_CULPRITS: usize = 1024;

/// Everything right of the stream of facts.
pub struct Pipeline {
    correlator: Correlator,
    recurrences: Recurrences,
    clock: Clock,
    filter: Filter,
    sink: Box<dyn Sink>,
    totals: Totals,
    /// When to stop by itself: after that many events shown.
    limit: Option<u64>,
}

/// What has been so far.
#[derive(Default)]
struct Totals {
    seq: u64,
    shown: u64,
    filtered: u64,
    unattributed: u64,
    lost: u64,
    culprits: HashMap<CulpritKey, u64>,
}

/// What makes two events one line of the summary.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct CulpritKey {
    event: EventKind,
    pid: Option<u32>,
    comm: Option<Text>,
    cgroup: Option<Text>,
}

impl Pipeline {
    /// A pipeline that has seen nothing.
    #[must_use]
    pub fn new(
        settings: Settings,
        clock: Clock,
        filter: Filter,
        limit: Option<u64>,
        sink: Box<dyn Sink>,
    ) -> Self {
        Self {
            correlator: Correlator::new(settings),
            recurrences: Recurrences::default(),
            clock,
            filter,
            sink,
            totals: Totals::default(),
            limit,
        }
    }

    /// Takes one fact, and writes what it leads to.
    pub fn take(&mut self, fact: Fact) -> io::Result<()> {
        if let What::Lost { records } = fact.what {
            self.totals.lost += records;
            let when = self.clock.when(fact.at);
            let total = self.totals.lost;
            self.sink.record(&record(Body::Lost(Lost { when, records, total })))?;
        }
        if let What::Tick = fact.what {
            return self.remark(fact.at);
        }
        for case in self.correlator.take(fact) {
            if self.is_closed() {
                break;
            }
            let verdict = diagnose(&case);
            let recurrence = self.recurrences.count(&case, &verdict);
            self.totals.seq += 1;
            let told = publish::Told { seq: self.totals.seq, case: &case, verdict: &verdict, recurrence };
            let record = publish::event(&told, self.clock, &self.correlator);
            self.publish(&record)?;
        }
        Ok(())
    }

    /// Writes what has not happened in time.
    fn remark(&mut self, at: Ktime) -> io::Result<()> {
        for remark in self.correlator.remarks(at) {
            if self.is_closed() {
                break;
            }
            let when = self.clock.when(at);
            self.sink.record(&record(Body::Notice(publish::remark(when, &remark))))?;
        }
        Ok(())
    }

    /// Writes the first record.
    pub fn begin(&mut self, run: &Record) -> io::Result<()> {
        self.sink.record(run)
    }

    /// Writes a remark.
    pub fn notice(&mut self, at: Ktime, message: String) -> io::Result<()> {
        let when = self.clock.when(at);
        self.sink.record(&record(Body::Notice(Notice { when, rule: None, incident: None, message })))
    }

    /// Writes the last record.
    pub fn finish(&mut self, at: Ktime) -> io::Result<()> {
        let summary = self.totals.summary(self.clock.when(at));
        self.sink.record(&record(Body::Summary(Box::new(summary))))
    }

    /// Shows no more events.
    pub fn close(&mut self) {
        self.limit = Some(0);
    }

    /// Whether no more events are shown: there were as many as were asked for, or the time is up.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.limit.is_some_and(|limit| self.totals.shown >= limit)
    }

    /// What is known about links and namespaces.
    #[must_use]
    pub fn known(&self) -> &Correlator {
        &self.correlator
    }

    fn publish(&mut self, record: &Record) -> io::Result<()> {
        let shown = match &record.body {
            Body::Event(event) if self.filter.shows(event) => {
                self.totals.count(event);
                &mut self.totals.shown
            }
            Body::Unattributed(event) if self.filter.shows_unattributed(event) => {
                &mut self.totals.unattributed
            }
            _ => {
                self.totals.filtered += 1;
                return Ok(());
            }
        };
        *shown += 1;
        self.sink.record(record)
    }
}

impl Totals {
    fn count(&mut self, event: &Event) {
        let place = |task: &Task| task.unit.clone().or_else(|| task.cgroup.path.clone());
        let culprit = event.culprit.as_ref();
        let mut key = CulpritKey {
            event: event.event,
            pid: culprit.map(|task| task.pid),
            comm: culprit.map(|task| task.comm.clone()),
            cgroup: culprit.and_then(place),
        };
        if self.culprits.len() >= MAX_CULPRITS && !self.culprits.contains_key(&key) {
            key = CulpritKey { pid: None, comm: Some(Text::from("(others)")), cgroup: None, ..key };
        }
        *self.culprits.entry(key).or_default() += 1;
    }

    fn summary(&self, when: crate::event::When) -> Summary {
        let mut culprits: Vec<_> = self.culprits.iter().collect();
        culprits.sort_by(|(one, a), (other, b)| b.cmp(a).then_with(|| one.cmp(other)));
        Summary {
            when,
            events: self.shown,
            filtered: self.filtered,
            unattributed: self.unattributed,
            lost: self.lost,
            culprits: culprits
                .into_iter()
                .map(|(key, &count)| CulpritCount {
                    pid: key.pid,
                    comm: key.comm.clone(),
                    cgroup: key.cgroup.clone(),
                    event: key.event,
                    count,
                })
                .collect(),
        }
    }
}
