//! One tracer for all tests: to attach and detach its hooks takes seconds where the processor is emulated.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::harness::{Stream, Trace, ip, sh, until};

static TRACER: Mutex<Option<Trace>> = Mutex::new(None);

/// The link whose deletion tells that everything before has been told. Its parent stays.
const MARK: &str = "mt-mark";
const MARKS_PARENT: &str = "mt-marks";

/// What breaks a link, and is shown unless something else is asked for.
const BREAKS: [&str; 4] = ["down", "parent_down", "carrier_lost", "deleted"];

/// What the tracer says from now on.
pub struct Watch {
    /// How many records there were before.
    from: usize,
    /// How many there were when the last one had come that was waited for.
    seen: usize,
    /// Whether only what breaks a link is wanted.
    breaks: bool,
}

impl Watch {
    /// Watches what breaks a link.
    pub fn start() -> Self {
        let from = mark(&mut tracer());
        Self { from, seen: from, breaks: true }
    }

    /// Watches the whole life of links.
    pub fn all() -> Self {
        Self { breaks: false, ..Self::start() }
    }

    /// Waits for a record, behind the one that was waited for before.
    pub fn wait_for(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut guard = tracer();
        let trace = guard.as_mut().expect("it was started");
        let breaks = self.breaks;
        let wanted = |record: &Value| wants(record, breaks) && wanted(record);
        let new = &trace.records()[self.seen..];
        if let Some(at) = new.iter().position(wanted) {
            self.seen += at + 1;
            return new[at].clone();
        }
        let record = trace.wait_for(what, wanted);
        self.seen = trace.records().len();
        record
    }

    /// Waits for an event of a link.
    pub fn wait_for_event(&mut self, event: &str, link: &str) -> Value {
        self.wait_for(&format!("{event} of {link}"), |record| {
            record["event"] == event && record["link"]["name"] == link
        })
    }

    /// Everything until the link of a container is deleted.
    pub fn until_gone(mut self, container: &str) -> Stream {
        self.wait_for("a deletion", |record| {
            record["event"] == "deleted" && record["victim"]["container"]["name"] == container
        });
        self.stop()
    }

    /// Waits until the tracer knows whose network namespace a process lives in: it looks for that now and then, and shows
    /// it with the next thing that happens to the link `eth0` in there.
    pub fn until_owner_is_known(process: u32, is_it: impl Fn(&Value) -> bool) {
        let mut watch = Self::all();
        until("the tracer knows whose the link is", || {
            for change in ["add", "del"] {
                sh(&format!("nsenter --net=/proc/{process}/ns/net $IP addr {change} 192.0.2.1/32 dev eth0"));
            }
            is_it(&watch.wait_for_event("address_removed", "eth0")["victim"]["container"])
        });
    }

    /// For so many seconds nothing happens that is wanted.
    pub fn stays_quiet_for_seconds(&mut self, seconds: u64) {
        thread::sleep(Duration::from_secs(seconds));
        let mut guard = tracer();
        let to = mark(&mut guard);
        let trace = guard.as_ref().expect("it was started");
        let breaks = self.breaks;
        let found = trace.records()[self.seen..to].iter().find(|record| wants(record, breaks));
        assert!(found.is_none(), "something happened: {}", found.unwrap_or(&Value::Null));
        self.seen = to;
    }

    /// Everything that was said.
    pub fn stop(self) -> Stream {
        let mut guard = tracer();
        let to = mark(&mut guard);
        let trace = guard.as_ref().expect("it was started");
        let records = &trace.records()[self.from..to];
        let wanted = records.iter().filter(|record| wants(record, self.breaks));
        Stream { records: wanted.cloned().collect(), is_part: true }
    }
}

/// Whether a record is about what a test does, and, where only that is wanted, about what breaks a link.
fn wants(record: &Value, only_breaks: bool) -> bool {
    let is_mark = record["link"]["name"] == MARK;
    let breaks = record["event"].as_str().is_none_or(|event| BREAKS.contains(&event));
    !is_mark && (breaks || !only_breaks)
}

/// The tracer, once nobody else uses it; a test that failed has left it as it was.
fn tracer() -> MutexGuard<'static, Option<Trace>> {
    TRACER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many records there are, once all is told that has happened.
fn mark(trace: &mut Option<Trace>) -> usize {
    let trace = trace.get_or_insert_with(|| {
        ip(&format!("link add {MARKS_PARENT} type dummy"));
        // The marks are not missed, nor is what a test has made.
        Trace::start(&["-e", "all", "--missed-after", "0"])
    });
    ip(&format!("link add {MARK} link {MARKS_PARENT} type macvlan"));
    ip(&format!("link del {MARK}"));
    trace.wait_for_event("deleted", MARK);
    trace.records().len()
}
