//! Runs the real binary and the real `ip`, and reads what the binary says.

#![allow(dead_code, unused_imports, reason = "two test programs use it, each of them a part")]

mod patience;
mod place;
mod stream;
mod trace;
mod watch;

use std::{
    fs,
    io::{BufRead, BufReader, Write as _},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use self::patience::Patience;
pub use self::{
    place::Place,
    stream::{Checked, Stream},
    trace::Trace,
    watch::{Watch, end as end_shared_tracer},
};

/// The binary under test.
pub fn binary() -> String {
    std::env::var("MACVLAN_TRACE_BIN").unwrap_or_else(|_| "macvlan-trace".to_owned())
}

/// Whether this is a guest of `cargo xtask`: nothing in it is anybody's.
pub fn in_guest() -> bool {
    std::env::var_os("MACVLAN_TRACE_TEST_HOST").is_none()
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
///
/// It pauses for as long as a look took, since to look may mean to start a program: so no more than half of an emulated
/// processor is taken from those who are waited for.
pub fn until(what: &str, mut check: impl FnMut() -> bool) {
    let mut patience = Patience::new();
    let mut looked = Instant::now();
    while !check() {
        assert!(patience.is_left(), "it never happened: {what}");
        thread::sleep(looked.elapsed().clamp(Duration::from_millis(10), Patience::PIECE));
        patience.spend(looked.elapsed());
        looked = Instant::now();
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
        self.hears("go");
    }

    /// Gives the script's next `read` a line.
    pub fn hears(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").expect("it listens");
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

    /// One whose path is nearly as long as a record can hold: of what happens in it, a little is much to tell.
    pub fn deep() -> Self {
        Self::new(&["a"; 14].map(|letter| letter.repeat(250)).join("/"))
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
