//! What ends with a pod of containerd's, with systemd's control groups and without.
//!
//! `ctr` makes the containers as containerd's CRI plugin does for the kubelet: with its annotations, ids and control
//! groups, and in a network namespace that is made first, given its link by the CNI plugin, and named in /run/netns.

use std::{fs, process::Command, sync::Mutex};

use crate::{
    cni::{STATIC, plugin},
    dockerd::has_systemd,
    harness::{Checked, NamedNetns, Parent, Watch, ip, run, until},
    segment::Daemon,
};

const UID: &str = "7d1c2b3a-4e5f-6071-8293-a4b5c6d7e8f9";
/// Ids as the CRI plugin makes them up.
const SANDBOX: &str = "5a4db0c5a4db0c5a4db0c5a4db0c5a4db0c5a4db0c5a4db0c5a4db0c5a4db0c5";
const APP: &str = "0a990a990a990a990a990a990a990a990a990a990a990a990a990a990a990a99";

const ROOTFS: &str = "/tmp/rootfs";

#[test]
fn a_pods_link_goes_with_its_sandbox_and_not_with_an_app_container() {
    Watch::ready();
    let pod = Pod::start();
    let trace = Watch::start();
    Pod::kill(APP);
    Pod::kill(SANDBOX);
    plugin("DEL", NETNS, "par0", STATIC);
    ip("netns del cni-shop");
    trace.stop().incident(|event| {
        of_pod(event, "/victim/container")
            .is("/event", "deleted")
            .is("/link/name", "eth0")
            .is("/link/netns/name", "cni-shop")
            .verdict("container-stopped", "likely")
            .is("/culprit/comm", "runc")
            .is("/actor/comm", "macvlan")
            .is("/victim/container/id", SANDBOX)
            .is("/victim/container/name", serde_json::Value::Null)
            .is("/victim/init/pid", pod.sandbox)
            .says("/verdict/cause", "SIGKILL")
            .holds("the signal, the exit and the deletion follow each other within seconds", |record| {
                let steps = record["verdict"]["evidence"].as_array().expect("there is a chain");
                let at: Vec<_> = steps.iter().filter_map(|step| step["boot_ns"].as_u64()).collect();
                at.len() == 3 && at.is_sorted() && at[2] - at[0] < 60_000_000_000
            })
    });
}

#[test]
fn what_an_app_container_does_to_its_pods_link_carries_pod_and_container() {
    Watch::ready();
    let pod = Pod::start();
    Watch::until_owner_is_known(pod.sandbox, |owner| owner["id"] == SANDBOX);
    let mut trace = Watch::start();
    fs::write(format!("{ROOTFS}/tmp/go"), "").expect("a file can be made");
    trace.wait_for_event("down", "eth0");
    let stream = trace.stop();
    let down = stream.only("down", "eth0").by("ip").verdict("direct", "certain");
    let down = of_pod(down, "/culprit/container")
        .is("/culprit/container/id", APP)
        .is("/culprit/container/name", "web");
    // The link belongs to the pod, whose namespaces its sandbox holds.
    of_pod(down, "/victim/container").is("/victim/container/id", SANDBOX);
}

/// Everything that containerd's files say of the pod.
fn of_pod<'a>(event: Checked<'a>, container: &str) -> Checked<'a> {
    event
        .is(&format!("{container}/runtime"), "containerd")
        .is(&format!("{container}/pod/name"), "shop-7d9f")
        .is(&format!("{container}/pod/namespace"), "default")
        .is(&format!("{container}/pod/uid"), UID)
        .is(&format!("{container}/pod/qos"), "burstable")
}

const NETNS: &str = "/run/netns/cni-shop";

/// A pod with a sandbox and an app container; it goes with the test.
struct Pod {
    /// Process id of the sandbox's main process.
    sandbox: u32,
    _netns: NamedNetns,
    _parent: Parent,
}

impl Pod {
    fn start() -> Self {
        start();
        let (parent, netns) = (Parent::dummy("par0"), NamedNetns::add("cni-shop"));
        plugin("ADD", NETNS, parent.0, STATIC);
        let _ = fs::remove_file(format!("{ROOTFS}/tmp/go"));
        run_container(SANDBOX, "sandbox", NETNS, "sleep 1000");
        let sandbox = main_process(SANDBOX).expect("the sandbox runs");
        let netns_of_sandbox = format!("/proc/{sandbox}/ns/net");
        let script = "until [ -e /tmp/go ]; do sleep 0.1; done; /sbin/ip link set eth0 down; sleep 1000";
        run_container(APP, "container", &netns_of_sandbox, script);
        Self { sandbox, _netns: netns, _parent: parent }
    }

    fn kill(id: &str) {
        ctr(&["task", "kill", "--signal", "KILL", id]);
        until("the container has ended", || main_process(id).is_none());
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        for id in [APP, SANDBOX] {
            let _ = client(&["task", "rm", "--force", id]).output();
            let _ = client(&["container", "rm", id]).output();
        }
    }
}

/// Makes a container of the pod.
fn run_container(id: &str, kind: &str, netns: &str, script: &str) {
    let (cgroup, driver) = if has_systemd() {
        let slice = format!("kubepods-burstable-pod{}.slice", UID.replace('-', "_"));
        (format!("{slice}:cri-containerd:{id}"), Some("--runc-systemd-cgroup"))
    } else {
        (format!("/kubepods/burstable/pod{UID}/{id}"), None)
    };
    let network = format!("network:{netns}");
    let notes = [
        ("container-type", kind),
        ("container-name", if kind == "sandbox" { "" } else { "web" }),
        ("sandbox-id", SANDBOX),
        ("sandbox-name", "shop-7d9f"),
        ("sandbox-namespace", "default"),
        ("sandbox-uid", UID),
    ]
    .map(|(key, value)| format!("--annotation=io.kubernetes.cri.{key}={value}"));
    let mut words = vec!["run", "--detach", "--rootfs", "--cap-add=CAP_NET_ADMIN", "--cgroup", &cgroup];
    words.extend(driver);
    words.extend(["--with-ns", &network]);
    words.extend(notes.iter().map(String::as_str));
    words.extend([ROOTFS, id, "/bin/sh", "-c", script]);
    ctr(&words);
}

/// Process id of a container that runs.
fn main_process(id: &str) -> Option<u32> {
    let tasks = ctr(&["task", "ls"]);
    let task = tasks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let task = task.into_iter().find(|words| words.first() == Some(&id))?;
    (task[2] == "RUNNING").then(|| task[1].parse().expect("a process id"))
}

/// The client, which has to succeed, in the namespace that the CRI plugin uses; its answer.
fn ctr(words: &[&str]) -> String {
    let output = client(words).output().expect("it is installed");
    assert!(output.status.success(), "ctr {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn client(words: &[&str]) -> Command {
    let mut client = Command::new("ctr");
    client.args(address()).args(["-n", "k8s.io"]).args(words);
    client
}

/// What tells the client where the daemon is: not at the usual place, where a dockerd would take it for its own; with
/// systemd they share it.
fn address() -> &'static [&'static str] {
    if has_systemd() { &[] } else { &["--address", "/run/containerd/pods.sock"] }
}

/// The daemon, where it is no unit of systemd's.
static DAEMON: Mutex<Option<Daemon>> = Mutex::new(None);

/// containerd runs, and there is a root file system.
fn start() {
    if !fs::exists(ROOTFS).is_ok_and(|exists| exists) {
        fs::create_dir_all(ROOTFS).expect("a folder can be made");
        run("tar", &["-C", ROOTFS, "-xf", "/usr/share/guest/alpine.tar"]);
    }
    if has_systemd() {
        run("systemctl", &["start", "containerd.service"]);
        return;
    }
    let mut daemon = DAEMON.lock().expect("nobody panicked");
    if daemon.is_some() {
        return;
    }
    *daemon = Some(Daemon::start("containerd --address /run/containerd/pods.sock --root /var/lib/pods"));
    until("containerd answers", || client(&["version"]).output().is_ok_and(|output| output.status.success()));
}
