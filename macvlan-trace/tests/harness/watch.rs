//! One tracer for all tests that need none of their own: to attach and detach its hooks takes seconds where the processor
//! is emulated, which is more than most tests take.
//!
//! A test reads a part of the stream. Both ends of the part are changes that the harness makes and waits for, so all that
//! happened before has been told by then, and what happens later is not part of it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::{
    ioctl::{Opcode, Setter, ioctl},
    net::{AddressFamily, SocketType, socket},
};
use serde_json::Value;

use super::{Stream, Trace, binary, in_guest, ip, sh, until};

static SHARED: Mutex<Option<Shared>> = Mutex::new(None);

/// The link whose changes mark a place in the stream, on a parent of its own; both stay for the next mark.
const MARK: &str = "mt-mark";
const MARKS_PARENT: &str = "mt-marks";

/// What is shown unless something else is asked for.
const SHOWN: [&str; 9] = [
    "create_failed",
    "up_failed",
    "down",
    "parent_down",
    "carrier_lost",
    "rename_failed",
    "move_failed",
    "mac_failed",
    "deleted",
];

/// How the shared tracer shows what happens.
const VIEW: [&str; 4] = ["-e", "all", "-k", "all"];

/// What the shared tracer says from now on.
pub struct Watch {
    /// How many records there were before.
    from: usize,
    /// How many there were when the last one had come that was waited for.
    seen: usize,
    /// The events that are wanted; `None` for all.
    events: Option<&'static [&'static str]>,
}

impl Watch {
    /// The tracer is at work before the test makes anything, so that it sees where all of it comes from, whether other
    /// tests ran before or not. A test that starts to watch only later begins with this.
    pub fn ready() {
        shared().get_or_insert_with(Shared::start);
    }

    /// Watches what is shown unless something else is asked for.
    pub fn start() -> Self {
        Self::over(Some(&SHOWN))
    }

    /// Watches the whole life of links.
    pub fn all() -> Self {
        Self::over(None)
    }

    /// Watches these events.
    pub fn of(events: &'static [&'static str]) -> Self {
        Self::over(Some(events))
    }

    fn over(events: Option<&'static [&'static str]>) -> Self {
        let from = shared().get_or_insert_with(Shared::start).mark();
        Self { from, seen: from, events }
    }

    /// Waits for a record, behind the one that was waited for before.
    pub fn wait_for(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut guard = shared();
        let trace = &mut guard.as_mut().expect("it was started").trace;
        let events = self.events;
        let wanted = |record: &Value| wants(record, events) && wanted(record);
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
        Self::until_victim_is_known(process, |victim| is_it(&victim["container"]));
    }

    /// The same, with all that is known of who would lose the link.
    pub fn until_victim_is_known(process: u32, is_it: impl Fn(&Value) -> bool) {
        let mut watch = Self::all();
        until("the tracer knows whose the link is", || {
            for change in ["add", "del"] {
                sh(&format!("nsenter --net=/proc/{process}/ns/net $IP addr {change} 192.0.2.1/32 dev eth0"));
            }
            is_it(&watch.wait_for_event("address_removed", "eth0")["victim"])
        });
    }

    /// Everything that was said.
    pub fn stop(self) -> Stream {
        let mut guard = shared();
        let shared = guard.as_mut().expect("it was started");
        let to = shared.mark();
        let records = &shared.trace.records()[self.from..to];
        let wanted = records.iter().filter(|record| wants(record, self.events));
        Stream { records: wanted.cloned().collect(), is_part: true }
    }
}

/// Whether a record is about what a test does, and, where only some events are wanted, about one of these.
fn wants(record: &Value, events: Option<&[&str]>) -> bool {
    let is_wanted = |event| events.is_none_or(|events| events.contains(&event));
    record["link"]["name"] != MARK && record["event"].as_str().is_none_or(is_wanted)
}

/// The shared tracer, once nobody else uses it; a test that failed has left it as it was.
fn shared() -> MutexGuard<'static, Option<Shared>> {
    SHARED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the shared tracer: in all this time it has lost nothing and left nothing without an author, and its record tells
/// again what it told, to the byte. The next watch starts another one.
pub fn end() {
    let Some(Shared { trace, files, .. }) = shared().take() else { return };
    trace.end().complete();
    let told = fs::read(files.output()).expect("it is kept");
    let replay = Command::new(binary()).args(["replay", &files.record(), "-o", "json"]).args(VIEW).output();
    let again = replay.expect("the binary under test starts").stdout;
    for (told, again) in lines(&told).zip(lines(&again)) {
        let text = String::from_utf8_lossy;
        assert!(told == again, "the record tells it differently:\n{}\nis\n{}", text(told), text(again));
    }
    assert_eq!(told.len(), again.len(), "one of them ends before the other");
}

fn lines(output: &[u8]) -> impl Iterator<Item = &[u8]> {
    output.split(|byte| *byte == b'\n')
}

/// Takes the link of the marks away, which a tracer of a test's own would find.
pub fn clear() {
    if Path::new("/sys/class/net").join(MARKS_PARENT).exists() {
        ip(&format!("link del {MARKS_PARENT}"));
    }
}

/// The shared tracer.
struct Shared {
    trace: Trace,
    files: Files,
    /// How many marks it has seen.
    marks: u32,
}

impl Shared {
    fn start() -> Self {
        // A shared tracer before this one has left its link.
        clear();
        let files = Files::next();
        // The marks are not missed, nor is what a test has made.
        let record = files.record();
        let args = [&VIEW[..], &["--missed-after", "0", "-w", &record]].concat();
        let output = File::create(files.output()).expect("a file can be made");
        let trace = Trace::keeping(&args, output);
        let stock = &trace.run_record()["stock"];
        assert!(stock["links"] == 0 || !in_guest(), "made before the tracer was ready: {stock}");
        Self { trace, files, marks: 0 }
    }

    /// How many records there are, once all is told that has happened.
    fn mark(&mut self) -> usize {
        if !Path::new("/sys/class/net").join(MARK).exists() {
            ip(&format!("link add {MARKS_PARENT} type dummy"));
            ip(&format!("link add {MARK} link {MARKS_PARENT} type macvlan"));
        }
        self.marks += 1;
        let [_, high, middle, low] = self.marks.to_be_bytes();
        let address = [2, 0x4d, 0x54, high, middle, low];
        set_address(MARK, address);
        let address = address.map(|byte| format!("{byte:02x}")).join(":");
        self.trace.wait_for("the mark", |record| {
            record["event"] == "mac_changed" && record["link"]["mac"] == *address
        });
        self.trace.records().len()
    }
}

/// Where all that a shared tracer says is kept, line by line, and its record.
struct Files(PathBuf);

impl Files {
    /// A place for the next shared tracer's.
    fn next() -> Self {
        let all = std::env::temp_dir().join("mt-streams");
        fs::create_dir_all(&all).expect("a folder can be made");
        let number = fs::read_dir(&all).expect("it is there").count();
        let folder = all.join(number.to_string());
        fs::create_dir(&folder).expect("a folder can be made");
        Self(folder)
    }

    fn output(&self) -> PathBuf {
        self.0.join("output.jsonl")
    }

    fn record(&self) -> String {
        self.0.join("record").display().to_string()
    }
}

/// Gives a link a hardware address, by a call that costs less than to start `ip`.
fn set_address(link: &str, address: [u8; 6]) {
    let mut request = [0; 40];
    request[..link.len()].copy_from_slice(link.as_bytes());
    request[16..18].copy_from_slice(&ARPHRD_ETHER.to_ne_bytes());
    request[18..24].copy_from_slice(&address);
    let any = socket(AddressFamily::INET, SocketType::DGRAM, None).expect("a socket can be made");
    // SAFETY: SIOCSIFHWADDR reads an ifreq, of which name and address are set, and which lives until the call is over.
    let result = unsafe { ioctl(&any, Setter::<SIOCSIFHWADDR, [u8; 40]>::new(request)) };
    result.expect("the link takes the address");
}

/// include/uapi/linux/sockios.h.
const SIOCSIFHWADDR: Opcode = 0x8924;
/// include/uapi/linux/if_arp.h.
const ARPHRD_ETHER: u16 = 1;
