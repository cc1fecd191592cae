//! Whose a link is: containers by their control groups, and their names by files below another root.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::{Value, json};

use crate::harness::{Container, Parent, Trace, ip_path, remove_group, run, until};

const ID: &str = "9f3c1a2b4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8";

/// The folder of a control group as Docker makes them, which goes with the test.
struct Group(PathBuf);

impl Group {
    fn docker(id: &str) -> Self {
        // The unified hierarchy, or where there is none, that of the processes' numbers.
        let unified = fs::metadata("/sys/fs/cgroup/cgroup.procs").is_ok();
        let root = Path::new("/sys/fs/cgroup").join(if unified { "" } else { "pids" });
        let path = root.join("docker").join(id);
        fs::create_dir_all(&path).expect("a control group can be made");
        Self(path)
    }

    fn add(&self, pid: u32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).expect("the process can be moved");
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = remove_group(&self.0);
        let _ = self.0.parent().map(remove_group);
    }
}

/// A root with what Docker writes of a container.
fn root_of_docker(id: &str, name: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a folder can be made");
    let folder = root.path().join("var/lib/docker/containers").join(id);
    fs::create_dir_all(&folder).expect("a folder can be made");
    fs::write(folder.join("config.v2.json"), json!({"Name": format!("/{name}")}).to_string())
        .expect("a file can be made");
    root
}

fn web() -> Value {
    json!({"runtime": "docker", "id": ID, "name": "web", "pod": null})
}

#[test]
fn a_container_that_ends_is_named() {
    let parent = Parent::dummy("par0");
    let group = Group::docker(ID);
    let root = root_of_docker(ID, "web");
    let mut trace = Trace::start(&["--state-root", &root.path().to_string_lossy(), "-C", "web"]);
    let mut container = Container::with_link("macvlan0", &parent, "read line; exit 3");
    let other = Container::with_link("macvlan1", &parent, "read line");
    group.add(container.pid);
    container.go();
    container.wait();
    drop(other);
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by_worker()
        .verdict("container-exited", "certain")
        .victim(&container)
        .is("/culprit/pid", container.pid)
        .is("/culprit/container", web())
        .is("/victim/container", web())
        .is("/actor/container", Value::Null);
}

#[test]
fn a_container_that_lives_is_found_and_named() {
    let parent = Parent::dummy("par0");
    let group = Group::docker(ID);
    let root = root_of_docker(ID, "web");
    let container = Container::with_link("macvlan0", &parent, "read line");
    group.add(container.pid);
    let mut trace = Trace::start(&["--state-root", &root.path().to_string_lossy(), "-C", "9f3c"]);
    // Shown only once the tracer has found out whose the link is.
    let net = format!("--net=/proc/{}/ns/net", container.pid);
    let set = |state| run("nsenter", &[&net, &ip_path(), "link", "set", "macvlan0", state]);
    let seen = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // Not for ever, if it is never seen.
            for _ in 0..2000 {
                if seen.load(Ordering::Relaxed) {
                    break;
                }
                set("down");
                set("up");
            }
        });
        trace.wait_for_event("down", "macvlan0");
        seen.store(true, Ordering::Relaxed);
    });
    for down in trace.stop().all() {
        // Whoever enters the namespace is not of the container.
        down.tells("down", "macvlan0")
            .by("ip")
            .verdict("direct", "certain")
            .is("/culprit/container", Value::Null)
            .is("/victim/container", web())
            .is("/link/netns/inode", container.netns());
    }
}

#[test]
fn a_container_that_is_removed_before_its_link_keeps_its_name() {
    let parent = Parent::dummy("par0");
    let group = Group::docker(ID);
    let root = root_of_docker(ID, "web");
    let container = Container::start("read line; exit 3");
    group.add(container.pid);
    let mut container = container.give("macvlan0", &parent);
    let net = format!("/proc/{}/ns/net", container.pid);
    let held = fs::File::open(&net).expect("it can be opened");
    let mut trace = Trace::start(&["--state-root", &root.path().to_string_lossy(), "-e", "all"]);
    // Until it has seen whose the link is.
    let mut event = Value::Null;
    while event["victim"]["container"].is_null() {
        let address = format!("address 02:00:00:00:{:02x}:01", event["seq"].as_u64().unwrap_or_default());
        let command = [&format!("--net={net}"), &ip_path(), "link", "set", "macvlan0"].map(str::to_owned);
        run("nsenter", &command.iter().map(String::as_str).chain(address.split(' ')).collect::<Vec<_>>());
        event = trace.wait_for_event("mac_changed", "macvlan0");
    }
    container.go();
    container.wait();
    // Neither its control group nor its files are there when the link goes.
    let path = group.0.clone();
    drop((group, root));
    assert!(!path.exists());
    drop(held);
    trace.wait_for_event("deleted", "macvlan0");
    let stream = trace.stop();
    let events = stream.all();
    let (deleted, changes) = events.split_last().expect("it was waited for");
    for change in changes {
        change
            .tells("mac_changed", "macvlan0")
            .by("ip")
            .verdict("mac-changed", "certain")
            .is("/link/netns/inode", container.netns());
    }
    changes.last().expect("it was waited for").is("/victim/container", web());
    deleted
        .tells("deleted", "macvlan0")
        .by_worker()
        .verdict_sure_or_likely("container-exited")
        .victim(&container)
        .is("/culprit/pid", container.pid)
        .is("/culprit/cgroup/path", format!("/docker/{ID}"))
        .is("/culprit/container", web())
        .is("/victim/container", web());
}

/// A hierarchy of cgroup v1 with the controller of the processes' numbers, which goes with the test.
struct Hierarchy(tempfile::TempDir);

impl Hierarchy {
    /// `None` where that cannot be: a kernel without cgroup v1, or a machine whose controllers are in use.
    fn mount() -> Option<Self> {
        let known = fs::read_to_string("/proc/filesystems").expect("it can be read");
        if !known.lines().any(|line| line == "nodev\tcgroup")
            || std::env::var_os("MACVLAN_TRACE_TEST_HOST").is_some()
        {
            return None;
        }
        let root = tempfile::tempdir().expect("a folder can be made");
        run("mount", &["-t", "cgroup", "-o", "pids", "none", &root.path().to_string_lossy()]);
        Some(Self(root))
    }

    /// A control group in it as Docker makes them.
    fn docker(&self, id: &str) -> Group {
        let path = self.0.path().join("docker").join(id);
        fs::create_dir_all(&path).expect("a control group can be made");
        Group(path)
    }
}

impl Drop for Hierarchy {
    fn drop(&mut self) {
        // The controller goes back to the unified hierarchy when nothing is left in this one.
        until("its control groups are gone", || {
            let controllers = fs::read_to_string("/proc/cgroups").unwrap_or_default();
            controllers.lines().any(|line| {
                let fields: Vec<_> = line.split_whitespace().collect();
                fields[0] == "pids" && fields[2] == "1"
            })
        });
        run("umount", &[&self.0.path().to_string_lossy()]);
    }
}

#[test]
fn a_container_of_cgroup_v1_is_told_by_its_path_there() {
    let parent = Parent::dummy("par0");
    let Some(hierarchy) = Hierarchy::mount() else { return };
    let group = hierarchy.docker(ID);
    let root = root_of_docker(ID, "web");
    let mut trace = Trace::start(&["--state-root", &root.path().to_string_lossy()]);
    let container = Container::start("read line; exit 3");
    group.add(container.pid);
    let mut container = container.give("macvlan0", &parent);
    let paths = fs::read_to_string(format!("/proc/{}/cgroup", container.pid)).expect("it is there");
    assert!(paths.contains(&format!(":pids:/docker/{ID}\n")) && paths.contains("0::/\n"), "{paths}");
    container.go();
    container.wait();
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by_worker()
        .verdict("container-exited", "certain")
        .victim(&container)
        .is("/culprit/pid", container.pid)
        .is("/culprit/cgroup/path", format!("/docker/{ID}"))
        .is("/culprit/container", web())
        .is("/victim/container", web());
}
