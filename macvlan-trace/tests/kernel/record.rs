//! Recording, replaying, and readers that do not read.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom},
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use rustix::{
    process::Signal,
    time::{ClockId, Timespec, clock_gettime, clock_settime},
};
use serde_json::Value;

use crate::harness::{
    Parent, Place, Stream, Unit, binary, end_shared_tracer, ip, ip_path, sh, signal, until,
};

fn tracer(args: &[&str]) -> Output {
    Command::new(binary()).args(args).output().expect("the binary under test starts")
}

/// What a replay prints.
fn replay(args: &[&str]) -> String {
    let output = tracer(&[&["replay"], args].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    String::from_utf8(output.stdout).expect("it is text")
}

/// A tracer whose output nobody reads for now; it has taken stock.
fn unread(args: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(binary())
        .args(["-o", "json", "-e", "all"])
        .args(args)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary under test starts");
    let mut reader = BufReader::new(child.stdout.take().expect("it has a stdout"));
    let mut line = String::new();
    reader.read_line(&mut line).expect("it says something");
    assert!(line.contains(r#""type":"run""#), "{line}");
    (child, reader)
}

/// A process of the unit makes links and changes their hardware addresses so often in all; they are deleted with their
/// parent. That is too much for a tracer that others share.
fn storm(unit: &Unit, parent: &'static str, links: u32, changes: u32) {
    end_shared_tracer();
    let _parent = Parent::dummy(parent);
    let mut lines = String::new();
    for link in 0..links {
        let _ = writeln!(lines, "link add {parent}mv{link} link {parent} type macvlan");
    }
    for change in 0..changes {
        let [_, _, high, low] = change.to_be_bytes();
        let link = change % links;
        let _ = writeln!(lines, "link set {parent}mv{link} address 02:00:00:00:{high:02x}:{low:02x}");
    }
    fs::write("/tmp/storm.batch", lines).expect("there is room for it");
    unit.sh("$IP -batch /tmp/storm.batch");
}

/// Waits until the record says that the last link of a storm is gone.
fn until_recorded(file: &str, parent: &str, links: u32) {
    let last = format!("\"{parent}mv{}\"", links - 1);
    until("the end of the last link is recorded", || {
        let mut file = File::open(file).expect("it is there");
        let size = file.metadata().expect("it is there").len();
        let mut end = Vec::new();
        file.seek(SeekFrom::Start(size.saturating_sub(1 << 16))).expect("a file has places");
        file.read_to_end(&mut end).expect("it can be read");
        String::from_utf8_lossy(&end).lines().any(|line| line.contains(&last) && line.contains("\"Deleted\""))
    });
}

/// The memory of its own that a process keeps, in KiB. The ring is the kernel's, 4 MiB, mapped twice, and counted with
/// the rest where a process has read all of it.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it is there");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("it has memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn a_record_tells_again_what_was_told_to_the_byte() {
    let place = Place::new("record");
    let _parent = Parent::dummy("par0");
    let ip = ip_path();
    let script = format!(
        "{ip} link add macvlan0 link par0 type macvlan; {ip} link set macvlan0 up; {ip} link set par0 down; \
         {ip} netns add blue; {ip} link set macvlan0 netns blue; {ip} netns del blue; \
         unshare -n sh -c '{ip} link add d0 type dummy; {ip} link add macvlan1 link d0 type macvlan; exit 7'"
    );
    let file = place.file("r.rec");
    for view in [&["-e", "all", "-o", "json"][..], &["-e", "all"], &["-o", "json", "-i", "macvlan1"]] {
        let mut args = view.to_vec();
        args.extend(["-w", &file, "--", "sh", "-c", &script]);
        let live = tracer(&args);
        assert_eq!(live.status.code(), Some(7), "{}", String::from_utf8_lossy(&live.stderr));
        let live = String::from_utf8(live.stdout).expect("it is text");
        assert!(live.contains("macvlan1"), "{live}");
        assert_eq!(replay(&[view, &[&file]].concat()), live, "{view:?}");
    }
    let info = tracer(&["info", &file]);
    let info = String::from_utf8_lossy(&info.stdout).into_owned();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("it has one");
    assert!(info.contains(release.trim()) && info.contains("damage       none"), "{info}");
}

#[test]
fn namespaces_that_follow_one_another_have_different_numbers() {
    const ROUNDS: usize = 12;
    let place = Place::new("record");
    let _parent = Parent::dummy("par0");
    let ip = ip_path();
    let script = format!(
        "for n in $(seq {ROUNDS}); do {ip} netns add blue; \
         {ip} link add link par0 netns blue name macvlan0 type macvlan; {ip} netns del blue; done"
    );
    let file = place.file("r.rec");
    assert!(tracer(&["-w", &file, "--", "sh", "-c", &script]).status.success());
    let record = fs::read_to_string(&file).expect("it can be read");
    let facts = record.lines().map(|line| serde_json::from_str(line).expect("a line is JSON"));
    let deleted = facts.filter(|fact: &Value| fact["what"]["Link"]["change"] == "Deleted");
    let mut seen: Vec<u64> = deleted
        .map(|fact| fact["what"]["Link"]["link"]["netns"][1].as_u64().expect("the namespace has a number"))
        .collect();
    assert_eq!(seen.len(), ROUNDS);
    seen.sort_unstable();
    seen.dedup();
    // Before 5.12 they are random, so two of them may be the same by chance: once in 65 million runs.
    assert_eq!(seen.len(), ROUNDS);
}

#[test]
fn a_small_record_tells_the_shown_incidents_again() {
    let place = Place::new("record");
    let _parent = Parent::dummy("par0");
    let ip = ip_path();
    let script = format!(
        "for n in 0 1 2 3 4 5 6 7 8 9; do {ip} link add macvlan$n link par0 type macvlan; \
         {ip} link set macvlan$n up; {ip} link set macvlan$n down; done; {ip} link del macvlan7"
    );
    let (file, small) = (place.file("r.rec"), place.file("small.rec"));
    assert!(tracer(&["-w", &file, "--", "sh", "-c", &script]).status.success());
    let shown = |stream: &str| {
        let stream = Stream::parse(stream.as_bytes());
        let told = |event: &&Value| {
            (event["event"].clone(), event["link"]["name"].clone(), event["verdict"].clone())
        };
        stream.events().iter().map(told).collect::<Vec<_>>()
    };
    let view = ["-o", "json", "-i", "macvlan7"];
    let all = replay(&[&view[..], &[&file, "-w", &small]].concat());
    assert_eq!(shown(&all).len(), 2, "{all}");
    assert_eq!(shown(&replay(&[&view[..], &[&small]].concat())), shown(&all));
    let size = |file: &str| fs::metadata(file).expect("it is there").len();
    assert!(size(&small) * 2 < size(&file), "{} of {}", size(&small), size(&file));
}

#[test]
fn a_reader_that_stalls_in_a_storm_holds_nobody_and_the_record_is_complete() {
    const LINKS: u32 = 10;
    // Of an event, 8 KiB are to tell: each storm is some 12 MiB.
    const CHANGES: u32 = 1500;
    let place = Place::new("record");
    let file = place.file("r.rec");
    let (mut child, reader) = unread(&["-w", &file]);
    let before = resident(child.id());
    storm(&Unit::deep(), "par0", LINKS, CHANGES);
    // The last of it is recorded, though nobody reads.
    until_recorded(&file, "par0", LINKS);
    let first = resident(child.id());
    storm(&Unit::deep(), "par1", LINKS, CHANGES);
    until_recorded(&file, "par1", LINKS);
    let second = resident(child.id());
    assert!(second < before + (12 << 10), "it has grown from {before} KiB to {second} KiB");
    assert!(second < first + (1 << 10), "another storm has it grow from {first} KiB to {second} KiB");
    signal(child.id(), Signal::TERM);
    child.wait().expect("it ends");
    let told = replay(&[&file, "-e", "created,deleted", "-o", "json"]);
    let stream = Stream::parse(told.as_bytes());
    stream.complete();
    assert_eq!(stream.events_of("created").len(), 2 * LINKS as usize);
    assert_eq!(stream.events_of("deleted").len(), 2 * LINKS as usize);
    assert_eq!(stream.summary()["filtered"], 2 * CHANGES, "no change of an address is missing");
    drop(reader);
}

#[test]
fn a_reader_that_reads_again_learns_how_much_is_missing_and_where() {
    const LINKS: u32 = 10;
    let place = Place::new("record");
    let file = place.file("r.rec");
    let (mut child, reader) = unread(&["-w", &file]);
    // Of an event, 8 KiB are to tell.
    storm(&Unit::deep(), "par0", LINKS, 1000);
    until_recorded(&file, "par0", LINKS);
    let pid = child.id();
    let reading = std::thread::spawn(move || {
        reader
            .lines()
            .map(|line| serde_json::from_str::<Value>(&line.expect("text")).expect("JSON"))
            .collect::<Vec<_>>()
    });
    signal(pid, Signal::INT);
    child.wait().expect("it ends");
    let lines = reading.join().expect("it reads");
    let (mut next, mut omitted) = (1, 0);
    for line in &lines {
        let number = |field: &str| line[field].as_u64().expect("a number");
        match line["type"].as_str() {
            Some("event") => {
                assert_eq!(number("seq"), next, "{line}");
                next += 1;
            }
            Some("omitted") => {
                assert_eq!(number("first_seq"), next, "{line}");
                assert_eq!(number("events"), number("last_seq") + 1 - next, "{line}");
                omitted += number("events");
                next = number("last_seq") + 1;
            }
            other => assert!(matches!(other, Some("summary" | "notice")), "{line}"),
        }
    }
    assert!(omitted > 0, "the pipe and the queue held it all");
    assert_eq!(lines.last().expect("a line")["events"], next - 1);
}

#[test]
fn a_second_signal_leaves_at_once() {
    let (mut child, _reader) = unread(&[]);
    // Whether the second comes before the run has ended by the first or not: it ends.
    signal(child.id(), Signal::TERM);
    let pid = rustix::process::Pid::from_child(&child);
    let _ = rustix::process::kill_process(pid, Signal::TERM);
    let status = child.wait().expect("it ends");
    assert!(matches!(status.code(), Some(0 | 143)), "{status}");
}

#[test]
fn a_reader_that_leaves_does_not_end_the_record_or_the_command() {
    let place = Place::new("record");
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    let file = place.file("r.rec");
    let script = format!(
        "{{ {} -o json -e all -w {file} -- sh -c 'sleep 1; for n in 1 2 3; do {ip} link set macvlan0 up; {ip} link \
         set macvlan0 down; done; exit 7'; echo status $? >&2; }} | head -n 1",
        binary(),
        ip = ip_path()
    );
    let output = Command::new("sh").args(["-c", &script]).output().expect("a shell runs");
    assert_eq!(String::from_utf8_lossy(&output.stderr).trim(), "status 7", "the command's own, and no word");
    let told = replay(&[&file, "-o", "json"]);
    assert_eq!(Stream::parse(told.as_bytes()).events_of("down").len(), 3, "{told}");
}

#[test]
fn an_output_that_fails_is_said_and_the_record_goes_on() {
    let (small, place) = (Place::in_memory("small", "16k"), Place::new("record"));
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    let file = place.file("r.rec");
    let script = format!(
        "for n in 1 2 3 4 5 6 7 8 9; do {0} link set macvlan0 up; {0} link set macvlan0 down; done",
        ip_path()
    );
    let out = File::create(small.file("out.json")).expect("there is room for a name");
    let run = Command::new(binary())
        .args(["-o", "json", "-e", "all", "-w", &file, "--", "sh", "-c", &script])
        .stdout(out)
        .output()
        .expect("the binary under test starts");
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert!(said.starts_with("error: cannot write to standard output: No space left on device"), "{said}");
    assert!(
        said.trim_end().ends_with("make room there, or write elsewhere") && said.lines().count() == 1,
        "{said}"
    );
    let told = replay(&[&file, "-o", "json", "-e", "all"]);
    assert_eq!(Stream::parse(told.as_bytes()).events().len(), 18, "{told}");
    // What was written is what was told, up to where the room ended.
    let mut written = String::new();
    File::open(small.file("out.json"))
        .and_then(|mut file| file.read_to_string(&mut written))
        .expect("it is text");
    assert!(told.starts_with(&written) && written.lines().count() > 1, "{written}");
}

#[test]
fn a_record_that_cannot_go_on_is_said_and_tracing_goes_on() {
    let small = Place::in_memory("small", "16k");
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    let file = small.file("r.rec");
    let script = format!(
        "for n in 1 2 3 4 5 6 7 8 9; do {0} link set macvlan0 up; {0} link set macvlan0 down; done; exit 5",
        ip_path()
    );
    let run = tracer(&["-o", "json", "-e", "all", "-w", &file, "--", "sh", "-c", &script]);
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert_eq!(run.status.code(), Some(5), "the command's own: {said}");
    assert!(said.contains(&format!("cannot write the record to {file}: No space left on device")), "{said}");
    let stream = Stream::parse(&run.stdout);
    stream.complete();
    assert_eq!(stream.events().len(), 18);
    // What it holds can be replayed.
    let replayed = tracer(&["replay", &file, "-o", "json", "-e", "all"]);
    let said = String::from_utf8_lossy(&replayed.stderr).into_owned();
    assert_eq!(said, "note: the record ends before the run did\n");
    assert!(replayed.status.success());
}

#[test]
fn segments_rotate_and_are_told_again_together() {
    let place = Place::new("record");
    let file = place.file("r.rec");
    let (mut child, mut reader) = unread(&["-w", &file, "--rotate", "128KiB"]);
    let reading = std::thread::spawn(move || {
        let mut rest = String::new();
        reader.read_to_string(&mut rest).map(|_| rest).expect("it is text")
    });
    storm(&Unit::new("storm.scope"), "par0", 100, 400);
    let name = |number: u32| place.file(&format!("r.rec.{number:06}"));
    until("there are segments", || {
        fs::exists(name(3)).is_ok_and(|is| is) || fs::exists(format!("{}.gz", name(3))).is_ok_and(|is| is)
    });
    signal(child.id(), Signal::INT);
    child.wait().expect("it ends");
    let live = reading.join().expect("it reads");
    let is_there = |name: &String| {
        fs::exists(name).is_ok_and(|is| is) || fs::exists(format!("{name}.gz")).is_ok_and(|is| is)
    };
    let segments: Vec<String> = (1..1000).map(name).take_while(is_there).collect();
    let mut args: Vec<&str> = segments.iter().map(String::as_str).rev().collect();
    args.extend(["-o", "json", "-e", "all"]);
    let told = replay(&args);
    let (_, told) = told.split_once('\n').expect("the record of the run");
    // An output may leave something out; the record does not.
    let is_whole = !live.contains(r#""type":"omitted""#);
    assert!(
        !is_whole || told == live,
        "{} lines live, {} in the replay",
        live.lines().count(),
        told.lines().count()
    );
    let stream = Stream::parse(told.as_bytes());
    let of = |event| stream.events_of(event).len();
    assert_eq!((of("created"), of("mac_changed"), of("deleted")), (100, 400, 100));
}

#[test]
fn sighup_opens_the_records_file_anew() {
    let place = Place::new("record");
    let _parent = Parent::dummy("par0");
    let file = place.file("r.rec");
    let (mut child, _reader) = unread(&["-w", &file]);
    ip("link add macvlan0 link par0 type macvlan");
    let has = |file: &str, what: &str| fs::read_to_string(file).is_ok_and(|text| text.contains(what));
    until("the link is recorded", || has(&file, "\"macvlan0\""));
    let moved = place.file("r.rec.old");
    fs::rename(&file, &moved).expect("it can be moved");
    signal(child.id(), Signal::HUP);
    until("there is another file", || has(&file, "\"segment\":1"));
    ip("link del macvlan0");
    until("the deletion is recorded there", || has(&file, "\"Deleted\""));
    signal(child.id(), Signal::INT);
    child.wait().expect("it ends");
    let told = replay(&[&file, &moved, "-o", "json", "-e", "all"]);
    Stream::parse(told.as_bytes())
        .one("deleted", "macvlan0")
        .holds("its age is known", |event| event["link"]["age_ns"].is_u64());
}

#[test]
fn a_clock_that_is_set_shows_in_the_time_from_then_on() {
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    let (mut child, reader) = unread(&[]);
    let now = clock_gettime(ClockId::Realtime);
    let year = 365 * 24 * 3600;
    clock_settime(ClockId::Realtime, Timespec { tv_sec: now.tv_sec + year, tv_nsec: 0 })
        .expect("we are root");
    ip("link set macvlan0 up");
    let mut lines =
        reader.lines().map(|line| serde_json::from_str::<Value>(&line.expect("text")).expect("JSON"));
    let event = lines.find(|line| line["event"] == "up").expect("it is told");
    let back = clock_gettime(ClockId::Realtime);
    clock_settime(ClockId::Realtime, Timespec { tv_sec: back.tv_sec - year, tv_nsec: back.tv_nsec })
        .expect("we are root");
    signal(child.id(), Signal::INT);
    child.wait().expect("it ends");
    let told = event["time"].as_str().expect("a time").to_owned();
    let next = sh(&format!("date -u -d @{} +%Y-%m", now.tv_sec + year));
    assert!(told.starts_with(&next), "{told}, and not of {next}");
}
