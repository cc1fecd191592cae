//! Runs the real binary and the real `ip`, and reads what the binary says.

#![allow(dead_code, reason = "two test programs use it, each of them a part")]

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, Write as _},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// How long anything may take before a test gives up; nothing waits that long unless it has failed.
const PATIENCE: Duration = Duration::from_secs(240);

/// The binary under test.
pub fn binary() -> String {
    std::env::var("MACVLAN_TRACE_BIN").unwrap_or_else(|_| "macvlan-trace".to_owned())
}

/// A tracer at work.
pub struct Trace {
    child: Child,
    lines: Receiver<String>,
    records: Vec<Value>,
}

impl Trace {
    /// Starts the tracer, and returns once it has taken stock.
    pub fn start(args: &[&str]) -> Self {
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
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut trace = Self { child, lines, records: Vec::new() };
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
        self.child.id()
    }

    /// Waits for a record.
    pub fn wait_for(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let record: Value =
                        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}"));
                    self.records.push(record.clone());
                    if wanted(&record) {
                        return record;
                    }
                }
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
    pub fn stop(mut self) -> Stream {
        signal(self.child.id(), rustix::process::Signal::INT);
        self.wait_for("the summary", |record| record["type"] == "summary");
        thread::spawn(move || self.child.wait());
        Stream { records: self.records, is_part: false }
    }
}

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

fn show(records: &[Value]) -> String {
    let mut out = String::new();
    for record in records {
        let _ = writeln!(out, "{record}");
    }
    out
}

fn pretty(record: &Value) -> String {
    serde_json::to_string_pretty(record).unwrap_or_default()
}

/// Runs a program that has to succeed; its stdout.
pub fn run(program: &str, args: &[&str]) -> String {
    let output =
        Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(
        output.status.success(),
        "{program} {}: {}\n{}",
        args.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// iproute2's `ip`, which has to succeed. Not busybox's: that one uses the ioctl to set links up and down.
pub fn ip(args: &str) -> String {
    run(&ip_path(), &args.split_whitespace().collect::<Vec<_>>())
}

/// Where iproute2's `ip` is; a shell of busybox's would take its own otherwise.
pub fn ip_path() -> String {
    ["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip", "/bin/ip"]
        .into_iter()
        .find(|path| {
            fs::canonicalize(path).is_ok_and(|real| real.file_name().is_some_and(|name| name != "busybox"))
        })
        .expect("iproute2 is installed")
        .to_owned()
}

/// A shell script, in busybox's or the system's shell, with iproute2's `ip` in `$IP`.
pub fn sh(script: &str) -> String {
    run("env", &[&format!("IP={}", ip_path()), "sh", "-c", script])
}

/// Sends a signal.
pub fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a process id");
    rustix::process::kill_process(pid, signal).expect("the process is there");
}

/// Inode number of a namespace.
pub fn netns_inode(path: impl AsRef<Path>) -> u64 {
    rustix::fs::stat(path.as_ref()).expect("the namespace is there").st_ino
}

/// Inode number of our own network namespace.
pub fn own_netns() -> u64 {
    netns_inode("/proc/self/ns/net")
}

/// Waits until something is so.
pub fn until(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !check() {
        assert!(Instant::now() < deadline, "it never happened: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A parent link that goes with the test.
pub struct Parent(pub &'static str);

impl Parent {
    /// A dummy that is up.
    pub fn dummy(name: &'static str) -> Self {
        ip(&format!("link add {name} type dummy"));
        ip(&format!("link set {name} up"));
        Self(name)
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        let _ = Command::new(ip_path()).args(["link", "del", self.0]).stderr(Stdio::null()).status();
    }
}

/// A named network namespace that goes with the test.
pub struct NamedNetns(pub &'static str);

impl NamedNetns {
    /// `ip netns add`.
    pub fn add(name: &'static str) -> Self {
        ip(&format!("netns add {name}"));
        Self(name)
    }

    /// Inode number.
    pub fn inode(&self) -> u64 {
        netns_inode(format!("/run/netns/{}", self.0))
    }
}

impl Drop for NamedNetns {
    fn drop(&mut self) {
        let _ = Command::new(ip_path()).args(["netns", "del", self.0]).stderr(Stdio::null()).status();
    }
}

/// A shell with a network namespace of its own, and usually a pid namespace: the main process of a container. It
/// runs a script whose `read` waits for [`Container::go`].
pub struct Container {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    /// Process id of the shell, seen from outside.
    pub pid: u32,
    netns: u64,
}

impl Container {
    /// A container with a pid namespace.
    pub fn start(script: &str) -> Self {
        Self::spawn(&["unshare", "-p", "-f", "-n", "sh", "-c"], script)
    }

    /// A process in a network namespace of its own, and no pid namespace.
    pub fn without_pid_namespace(script: &str) -> Self {
        Self::spawn(&["unshare", "-n", "sh", "-c"], script)
    }

    /// Starts `command` with a script, which first says who it is.
    pub fn spawn(command: &[&str], script: &str) -> Self {
        // /proc is that of the outer pid namespace, so this is the shell's id as others see it.
        let script = format!("read pid rest < /proc/self/stat; echo $pid; {script}");
        let mut child = Command::new(command[0])
            .args(&command[1..])
            .arg(script)
            .env("IP", ip_path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", command[0]));
        let stdin = child.stdin.take().expect("it has a stdin");
        let stdout = BufReader::new(child.stdout.take().expect("it has a stdout"));
        let mut container = Self { child, stdin, stdout, pid: 0, netns: 0 };
        container.pid = container.line().parse().expect("a process id");
        container.netns = netns_inode(format!("/proc/{}/ns/net", container.pid));
        container
    }

    /// A container that holds a macvlan link called `link`, which is up.
    pub fn with_link(link: &str, parent: &Parent, script: &str) -> Self {
        Self::start(script).give(link, parent)
    }

    /// Makes a macvlan link and moves it in.
    pub fn give(self, link: &str, parent: &Parent) -> Self {
        ip(&format!("link add {link} link {} type macvlan mode bridge", parent.0));
        ip(&format!("link set {link} netns {}", self.pid));
        run("nsenter", &[&format!("--net=/proc/{}/ns/net", self.pid), &ip_path(), "link", "set", link, "up"]);
        self
    }

    /// Inode number of its network namespace, even where that has ended.
    pub fn netns(&self) -> u64 {
        self.netns
    }

    /// The next line that the script says.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("it says something");
        line.trim().to_owned()
    }

    /// Lets the script's next `read` return.
    pub fn go(&mut self) {
        self.stdin.write_all(b"go\n").expect("it listens");
    }

    /// Waits for its end.
    pub fn wait(&mut self) {
        self.child.wait().expect("it ends");
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where cgroup v2 is mounted.
pub fn cgroup_root() -> &'static str {
    if fs::metadata("/sys/fs/cgroup/cgroup.procs").is_ok() {
        "/sys/fs/cgroup"
    } else {
        "/sys/fs/cgroup/unified"
    }
}

/// The control group of a unit, in a slice of the tests' own, which goes with the test.
pub struct Unit {
    folder: PathBuf,
    made: Vec<PathBuf>,
}

impl Unit {
    /// Makes the control group; a name with slashes makes one in another.
    pub fn new(name: &str) -> Self {
        let mut folder = Path::new(cgroup_root()).join("mt.slice");
        let mut made = vec![folder.clone()];
        for part in name.split('/') {
            folder.push(part);
            made.push(folder.clone());
        }
        fs::create_dir_all(&folder).expect("control groups can be made");
        Self { folder, made }
    }

    /// Writes one of its files, for which its controller is turned on.
    pub fn set(&self, file: &str, value: &str) {
        let controller = file.split('.').next().unwrap_or_default();
        let root = PathBuf::from(cgroup_root());
        let above = self.made.iter().take(self.made.len() - 1);
        for folder in std::iter::once(&root).chain(above) {
            fs::write(folder.join("cgroup.subtree_control"), format!("+{controller}"))
                .unwrap_or_else(|error| panic!("{controller} in {}: {error}", folder.display()));
        }
        fs::write(self.folder.join(file), value).unwrap_or_else(|error| panic!("{file}: {error}"));
    }

    /// Moves a process in.
    pub fn take(&self, pid: u32) {
        fs::write(self.folder.join("cgroup.procs"), pid.to_string()).expect("the process can be moved");
    }

    /// Runs a script in it.
    pub fn sh(&self, script: &str) -> String {
        sh(&format!("echo $$ > {}/cgroup.procs; {script}", self.folder.display()))
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        for folder in self.made.iter().rev() {
            // Another unit may be in the slice.
            let _ = remove_group(folder);
        }
    }
}

/// Removes a control group, in which a process may still be on its way out.
pub fn remove_group(folder: &Path) -> std::io::Result<()> {
    for _ in 0..100 {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                thread::sleep(Duration::from_millis(10));
            }
            done => return done,
        }
    }
    fs::remove_dir(folder)
}

/// A script that is called `name`, with iproute2's `ip` in `$IP`; its path.
pub fn script(name: &str, body: &str) -> String {
    let folder = std::env::temp_dir().join("mt-programs");
    fs::create_dir_all(&folder).expect("a folder can be made");
    let path = folder.join(name);
    let text = format!("#!/bin/sh\nIP={}\n{body}\n", ip_path());
    fs::write(&path, text).expect("a file can be made");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    path.to_string_lossy().into_owned()
}

/// iproute2's `ip` under another name, as a process shows it.
pub fn as_another(name: &str, args: &str) {
    let folder = std::env::temp_dir().join("mt-names");
    fs::create_dir_all(&folder).expect("a folder can be made");
    let path = folder.join(name);
    let _ = fs::remove_file(&path);
    std::os::unix::fs::symlink(ip_path(), &path).expect("a link can be made");
    // `ip` takes the rest of its own name for a command.
    let status = Command::new(path).arg0("ip").args(args.split(' ')).status().expect("it starts");
    assert!(status.success(), "ip {args}: {status}");
}
