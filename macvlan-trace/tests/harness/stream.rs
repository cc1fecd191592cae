//! What a tracer said, and what a test wants of it.

use std::fmt::Write as _;

use serde_json::Value;

use super::Container;

/// Everything that a run said.
pub struct Stream {
    /// The records, in order.
    pub records: Vec<Value>,
    /// Whether the run went on after them, so that there is no summary.
    pub is_part: bool,
}

impl Stream {
    /// The records of a run that has ended.
    pub fn parse(stdout: &[u8]) -> Self {
        let text = String::from_utf8(stdout.to_vec()).expect("JSON is UTF-8");
        let records = text
            .lines()
            .filter(|line| line.starts_with('{'))
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}")))
            .collect();
        Self { records, is_part: false }
    }

    /// The events.
    pub fn events(&self) -> Vec<&Value> {
        self.records.iter().filter(|record| record["type"] == "event").collect()
    }

    /// The events of one kind.
    pub fn events_of(&self, event: &str) -> Vec<&Value> {
        self.events().into_iter().filter(|record| record["event"] == event).collect()
    }

    /// The one event that there is; nothing was lost, and nothing left without an author.
    pub fn only(&self, event: &str, link: &str) -> Checked<'_> {
        let events = self.all();
        assert!(events.len() == 1, "{} events instead of one; the stream:\n{self}", events.len());
        events[0].tells(event, link)
    }

    /// The incident in which that link was, among others.
    pub fn settled(&self, link: &str) -> Checked<'_> {
        let is_it = |record: &&Value| record["type"] == "incident" && record["links"][0]["name"] == link;
        let found: Vec<_> = self.records.iter().filter(is_it).collect();
        assert!(found.len() == 1, "{} incidents of {link}; the stream:\n{self}", found.len());
        Checked { stream: self, record: found[0] }
    }

    /// The one event of that kind and link, among others.
    pub fn one(&self, event: &str, link: &str) -> Checked<'_> {
        let events: Vec<_> =
            self.events_of(event).into_iter().filter(|record| record["link"]["name"] == link).collect();
        assert!(events.len() == 1, "{} times {event} of {link}; the stream:\n{self}", events.len());
        Checked { stream: self, record: events[0] }
    }

    /// All events, in order; nothing was lost, and nothing left without an author.
    pub fn all(&self) -> Vec<Checked<'_>> {
        self.complete();
        self.events().into_iter().map(|record| Checked { stream: self, record }).collect()
    }

    /// All events are one incident, whose each event is as `check` wants it; nothing was lost or left without an author.
    pub fn incident<'a>(&'a self, check: impl Fn(Checked<'a>) -> Checked<'a>) {
        let events = self.all();
        assert!(!events.is_empty(), "no event; the stream:\n{self}");
        for event in &events {
            check(*event).is("/incident", events[0].value("/incident"));
        }
    }

    /// There is no event at all, and nothing was lost or left without an author.
    pub fn nothing(&self) {
        self.complete();
        assert!(self.events().is_empty(), "events where there should be none; the stream:\n{self}");
    }

    /// Nothing was lost, and nothing left without an author.
    pub fn complete(&self) {
        if !self.is_part {
            let summary = self.summary();
            assert!(summary["lost"] == 0 && summary["unattributed"] == 0, "incomplete; the stream:\n{self}");
        }
        let stray = |kind: &str| self.records.iter().any(|record| record["type"] == kind);
        assert!(!stray("lost") && !stray("unattributed"), "incomplete; the stream:\n{self}");
    }

    /// The last record.
    pub fn summary(&self) -> &Value {
        let last = self.records.last().expect("a run says something");
        assert!(last["type"] == "summary", "the last record is no summary; the stream:\n{self}");
        last
    }
}

impl std::fmt::Display for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&show(&self.records))
    }
}

/// One record, of which things are said.
#[derive(Clone, Copy)]
pub struct Checked<'a> {
    stream: &'a Stream,
    /// The record.
    pub record: &'a Value,
}

impl Checked<'_> {
    /// The value at a path is this.
    pub fn is(self, path: &str, wanted: impl Into<Value>) -> Self {
        let wanted = wanted.into();
        let found = self.record.pointer(path).unwrap_or(&Value::Null);
        assert!(
            *found == wanted,
            "{path} is {found}, not {wanted}; the record:\n{}\nthe stream:\n{}",
            pretty(self.record),
            self.stream
        );
        self
    }

    /// The value at a path is a string that contains this.
    pub fn says(self, path: &str, wanted: &str) -> Self {
        let found = self.record.pointer(path).and_then(Value::as_str).unwrap_or_default();
        assert!(
            found.contains(wanted),
            "{path} is {found:?}, without {wanted:?}; the record:\n{}\nthe stream:\n{}",
            pretty(self.record),
            self.stream
        );
        self
    }

    /// What the record says to this is true.
    pub fn holds(self, what: &str, check: impl Fn(&Value) -> bool) -> Self {
        assert!(
            check(self.record),
            "not so: {what}; the record:\n{}\nthe stream:\n{}",
            pretty(self.record),
            self.stream
        );
        self
    }

    /// What happened, and to which link.
    pub fn tells(self, event: &str, link: &str) -> Self {
        self.is("/event", event).is("/link/name", link)
    }

    /// Actor and culprit are the same process, which has this name.
    pub fn by(self, comm: &str) -> Self {
        let pid = self.record["actor"]["pid"].clone();
        self.is("/actor/comm", comm).is("/culprit/comm", comm).is("/culprit/pid", pid)
    }

    /// The victim is this container: the link lived in its network namespace, and its main process ended.
    pub fn victim(self, container: &Container) -> Self {
        self.is("/victim/init/pid", container.pid).is("/link/netns/inode", container.netns())
    }

    /// The verdict on the end of a namespace, sure or likely: a socket that was closed in it a moment before may hold it
    /// until an instant in which no probe sees the last reference drop (docs/decisions.md).
    pub fn verdict_sure_or_likely(self, rule: &str) -> Self {
        self.is("/verdict/rule", rule).holds("it is certain or likely", |record| {
            ["certain", "likely"].map(Value::from).contains(&record["verdict"]["confidence"])
        })
    }

    /// The verdict.
    pub fn verdict(self, rule: &str, confidence: &str) -> Self {
        self.is("/verdict/rule", rule).is("/verdict/confidence", confidence)
    }

    /// The value at a path.
    pub fn value(&self, path: &str) -> Value {
        self.record.pointer(path).cloned().unwrap_or_default()
    }

    /// A kernel worker executed it; that of a queue of its own, where the others are slow to come (`rescuer_thread`), is
    /// called as the queue is, before 6.9.
    pub fn by_worker(self) -> Self {
        self.holds("a kernel worker executed it", |record| {
            record["actor"]["comm"]
                .as_str()
                .is_some_and(|comm| comm.starts_with("kworker") || comm == "netns")
        })
    }
}

pub fn show(records: &[Value]) -> String {
    let mut out = String::new();
    for record in records {
        let _ = writeln!(out, "{record}");
    }
    out
}

fn pretty(record: &Value) -> String {
    serde_json::to_string_pretty(record).unwrap_or_default()
}
