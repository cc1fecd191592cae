//! A tracer of a test's own.

use std::{
    io::{BufRead, BufReader, Write, sink},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Instant,
};

use serde_json::Value;

use super::{Patience, Stream, binary, signal, stream::show, watch};

/// A tracer at work.
pub struct Trace {
    /// The process, until it is left to end.
    child: Option<Child>,
    pid: u32,
    lines: Receiver<String>,
    records: Vec<Value>,
}

impl Trace {
    /// Starts a tracer of the test's own, and returns once it has taken stock.
    ///
    /// That takes seconds where the processor is emulated: a test that needs neither options nor a stock of its own
    /// shares a tracer with the others, as a [`Watch`](super::Watch).
    pub fn start(args: &[&str]) -> Self {
        watch::clear();
        Self::keeping(args, sink())
    }

    /// The same, and each line of its output is kept as it came.
    pub fn keeping(args: &[&str], mut kept: impl Write + Send + 'static) -> Self {
        let mut child = Command::new(binary())
            .args(["-o", "json"])
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary under test starts");
        let stdout = child.stdout.take().expect("it has a stdout");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                writeln!(kept, "{line}").expect("there is room for it");
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut trace = Self { pid: child.id(), child: Some(child), lines, records: Vec::new() };
        trace.wait_for("the first record", |record| record["type"] == "run");
        trace
    }

    /// The first record.
    pub fn run_record(&self) -> &Value {
        &self.records[0]
    }

    /// What it has said so far, as far as somebody waited for it.
    pub fn records(&self) -> &[Value] {
        &self.records
    }

    /// Process id of the tracer.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for a record.
    pub fn wait_for(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut patience = Patience::new();
        loop {
            let since = Instant::now();
            let next = self.lines.recv_timeout(Patience::PIECE);
            patience.spend(since.elapsed());
            match next {
                Ok(line) => {
                    let record: Value =
                        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}"));
                    self.records.push(record.clone());
                    if wanted(&record) {
                        return record;
                    }
                }
                Err(RecvTimeoutError::Timeout) if patience.is_left() => {}
                Err(error) => panic!("no {what}: {error}; the stream:\n{}", show(&self.records)),
            }
        }
    }

    /// Waits for an event of a link.
    pub fn wait_for_event(&mut self, event: &str, link: &str) -> Value {
        self.wait_for(&format!("{event} of {link}"), |record| {
            record["event"] == event && record["link"]["name"] == link
        })
    }

    /// Stops the tracer with Ctrl-C; everything that it said.
    ///
    /// The kernel takes most of a second to detach its probes, which nobody has to wait for.
    pub fn stop(self) -> Stream {
        let (stream, mut child) = self.summed_up();
        thread::spawn(move || child.wait());
        stream
    }

    /// The same, once the tracer has ended.
    pub fn end(self) -> Stream {
        let (stream, mut child) = self.summed_up();
        child.wait().expect("it ends");
        stream
    }

    fn summed_up(mut self) -> (Stream, Child) {
        signal(self.pid, rustix::process::Signal::INT);
        self.wait_for("the summary", |record| record["type"] == "summary");
        let stream = Stream { records: std::mem::take(&mut self.records), is_part: false };
        (stream, self.child.take().expect("it was started"))
    }
}

impl Drop for Trace {
    /// Of a test that failed nothing goes on.
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
