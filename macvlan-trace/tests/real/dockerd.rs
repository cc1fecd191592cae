//! Docker Engine, with a macvlan network `mv` on the guest's card.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    process::{Child, Command, Stdio},
    sync::Mutex,
};

use serde_json::Value;

use crate::harness::{Watch, ip, run, signal, until};

/// The network's addresses.
const SUBNET: &str = "192.168.1.0/24";

/// The daemon, where it is no unit of systemd's.
static DAEMON: Mutex<Option<Child>> = Mutex::new(None);

/// Whether systemd is the first process.
pub fn has_systemd() -> bool {
    std::path::Path::new("/run/systemd/system").exists()
}

/// Docker runs, and has its image and its network.
pub fn start() {
    if !answers() {
        start_daemon();
    }
    if ask("/images/alpine:latest/json").is_none() {
        docker("import /usr/share/guest/alpine.tar alpine:latest");
    }
    if ask("/networks/mv").is_none() {
        ip("link set eth0 up");
        docker(&format!("network create --driver macvlan --subnet {SUBNET} --opt parent=eth0 mv"));
    }
}

/// Starts the daemon, which has what it had before.
pub fn start_daemon() {
    if has_systemd() {
        run("systemctl", &["start", "docker.service"]);
        return;
    }
    let log =
        File::options().create(true).append(true).open("/tmp/dockerd.log").expect("a log can be written");
    let daemon = Command::new("dockerd")
        .args(["--shutdown-timeout", "120"])
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("dockerd is installed");
    *DAEMON.lock().expect("nobody panicked") = Some(daemon);
    until("dockerd answers", answers);
}

/// Stops the daemon, and waits for its end.
pub fn stop_daemon() {
    if has_systemd() {
        run("systemctl", &["stop", "docker.service", "docker.socket"]);
        return;
    }
    let daemon = DAEMON.lock().expect("nobody panicked").take();
    let mut daemon = daemon.expect("the daemon runs");
    signal(daemon.id(), rustix::process::Signal::TERM);
    daemon.wait().expect("it ends");
}

fn answers() -> bool {
    if has_systemd()
        && !run("systemctl", &["show", "--property=ActiveState", "docker.service"]).ends_with("=active")
    {
        // A question would start it through its socket.
        return false;
    }
    ask("/version").is_some()
}

/// What the daemon says about something that it has.
pub fn ask(path: &str) -> Option<Value> {
    let answer = request("GET", path)?;
    Some(serde_json::from_slice(&answer).expect("the daemon speaks JSON"))
}

/// What the daemon answers to a request that it can meet. Where nothing is tested by the request, it goes without the
/// client, whose start takes half a second to a second where the processor is emulated.
fn request(method: &str, path: &str) -> Option<Vec<u8>> {
    let mut daemon = UnixStream::connect("/run/docker.sock").ok()?;
    daemon.write_all(format!("{method} {path} HTTP/1.0\r\n\r\n").as_bytes()).ok()?;
    let mut answer = Vec::new();
    daemon.read_to_end(&mut answer).ok()?;
    let body = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    answer.starts_with(b"HTTP/1.0 2").then(|| answer.split_off(body))
}

/// How a container is that there is.
pub fn state(container: &str) -> Value {
    ask(&format!("/containers/{container}/json")).expect("there is such a container")["State"].clone()
}

/// The process id of a container's main process.
pub fn main_process(container: &str) -> u32 {
    state(container)["Pid"].as_u64().and_then(|pid| pid.try_into().ok()).expect("a process id")
}

/// The client, which has to succeed; its answer.
pub fn docker(words: &str) -> String {
    run("docker", &words.split_whitespace().collect::<Vec<_>>())
}

/// A container on the network `mv`, in which the link is called `eth0`; it goes with the test.
pub struct Container {
    name: &'static str,
    /// Process id of its init.
    pub pid: u32,
}

impl Container {
    /// `docker run OPTIONS alpine:latest sh -c SCRIPT`, in the background, on the network `mv`.
    pub fn run(name: &'static str, options: &str, script: &str) -> Self {
        Self::run_on("mv", name, options, script)
    }

    /// The same on another network.
    pub fn run_on(network: &str, name: &'static str, options: &str, script: &str) -> Self {
        let options = format!("--interactive --network {network} {options}");
        Self::detached("alpine", name, &options, &["sh", "-c", script])
    }

    /// A container that sleeps, and of which the tracer knows that the namespace is its own.
    pub fn known(network: &str, name: &'static str, options: &str) -> Self {
        let container = Self::run_on(network, name, options, "exec sleep 1000");
        Watch::until_owner_is_known(container.pid, |owner| owner["name"] == name);
        container
    }

    /// What an image does by itself, with nobody at its input.
    pub fn of_image(image: &str, name: &'static str, options: &str) -> Self {
        Self::of_command(image, name, options, &[])
    }

    /// A command in an image, with nobody at its input.
    pub fn of_command(image: &str, name: &'static str, options: &str, command: &[&str]) -> Self {
        Self::detached(image, name, &format!("--network mv {options}"), command)
    }

    fn detached(image: &str, name: &'static str, options: &str, command: &[&str]) -> Self {
        start();
        let words = format!("run --detach --name {name} {options} {image}:latest");
        run("docker", &words.split_whitespace().chain(command.iter().copied()).collect::<Vec<_>>());
        Self { name, pid: main_process(name) }
    }
}

impl Container {
    /// Lets the main process's `read` return.
    pub fn type_line(&self) {
        let mut attached = Command::new("docker")
            .args(["attach", "--sig-proxy=false", self.name])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker is installed");
        let mut stdin = attached.stdin.take().expect("it has a stdin");
        stdin.write_all(b"go\n").expect("it listens");
        attached.wait().expect("it ends with the container");
    }

    /// What it has said, with some bytes of the daemon's around each piece.
    pub fn logs(&self) -> String {
        let path = format!("/containers/{}/logs?stdout=true&stderr=true", self.name);
        String::from_utf8_lossy(&request("GET", &path).expect("the daemon keeps it")).into_owned()
    }

    /// Whether it runs.
    pub fn is_alive(&self) -> bool {
        state(self.name)["Running"] == true
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        request("DELETE", &format!("/containers/{}?force=true", self.name));
    }
}
