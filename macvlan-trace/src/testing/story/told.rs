//! What is told about a story, to be checked.

use std::fmt;

use serde_json::Value;

use crate::fact::Task;

/// The output.
pub struct Told {
    records: Vec<Value>,
}

impl Told {
    pub(super) fn new(records: Vec<Value>) -> Self {
        Self { records }
    }

    /// The records of changes of links.
    pub fn events(&self) -> Vec<Checked<'_>> {
        let is_change = |record: &&Value| record["type"] == "event" || record["type"] == "unattributed";
        self.records.iter().filter(is_change).map(|record| Checked { told: self, record }).collect()
    }

    /// The last change.
    pub fn last(&self) -> Checked<'_> {
        *self.events().last().unwrap_or_else(|| panic!("no event was told:\n{self}"))
    }

    /// The remarks.
    pub fn notices(&self) -> Vec<&Value> {
        self.records.iter().filter(|record| record["type"] == "notice").collect()
    }

    /// The incidents that have settled.
    pub fn settled(&self) -> Vec<Checked<'_>> {
        let is_settled = |record: &&Value| record["type"] == "incident";
        self.records.iter().filter(is_settled).map(|record| Checked { told: self, record }).collect()
    }

    /// The last record.
    pub fn summary(&self) -> &Value {
        let last = self.records.last().expect("a run ends with a summary");
        assert_eq!(last["type"], "summary", "{self}");
        last
    }

    /// The incident of each change, in order.
    pub fn incidents(&self) -> Vec<u64> {
        self.events()
            .iter()
            .map(|event| event.record["incident"].as_u64().expect("an incident has a number"))
            .collect()
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.records.iter().try_for_each(|record| writeln!(f, "{record}"))
    }
}

/// A record, to check.
#[derive(Clone, Copy)]
pub struct Checked<'a> {
    told: &'a Told,
    /// The record.
    pub record: &'a Value,
}

impl Checked<'_> {
    /// The value at a path is this.
    #[track_caller]
    pub fn is(self, path: &str, wanted: impl Into<Value>) -> Self {
        let wanted = wanted.into();
        let found = self.record.pointer(path).unwrap_or(&Value::Null);
        assert!(*found == wanted, "{path} is {found}, not {wanted}; all that was told:\n{}", self.told);
        self
    }

    /// The value at a path is a string that contains this.
    #[track_caller]
    pub fn says(self, path: &str, wanted: &str) -> Self {
        let found = self.record.pointer(path).and_then(Value::as_str).unwrap_or_default();
        assert!(
            found.contains(wanted),
            "{path} is {found:?}, without {wanted:?}; all that was told:\n{}",
            self.told
        );
        self
    }

    /// The rule that decided, and how sure it is.
    #[track_caller]
    pub fn verdict(self, rule: &str, confidence: &str) -> Self {
        self.is("/verdict/rule", rule).is("/verdict/confidence", confidence)
    }

    /// The process that is responsible.
    #[track_caller]
    pub fn culprit(self, task: &Task) -> Self {
        self.is("/culprit/pid", task.task.process.tgid).is("/culprit/comm", task.task.comm.to_json())
    }

    /// Nobody is blamed.
    #[track_caller]
    pub fn nobody(self) -> Self {
        self.is("/culprit", Value::Null)
    }

    /// What the steps of the chain were, in order; they are ordered by time too.
    #[track_caller]
    pub fn steps(self, wanted: &[&str]) -> Self {
        let steps = self.record["verdict"]["evidence"].as_array().expect("there is a chain");
        let found: Vec<_> = steps.iter().map(|step| step["what"].as_str().unwrap_or_default()).collect();
        assert!(found == wanted, "the chain is {found:?}, not {wanted:?}; all that was told:\n{}", self.told);
        let times: Vec<_> = steps.iter().map(|step| step["boot_ns"].as_u64()).collect();
        assert!(times.is_sorted(), "the chain is out of order: {times:?}; all that was told:\n{}", self.told);
        self
    }
}
