//! What LXC does to a container's link, which it makes on the host and moves in.

use std::{fs, process::Command};

use crate::harness::{Watch, ip, run};

#[test]
fn a_container_that_does_not_heed_its_stop_was_stopped_all_the_same() {
    Watch::ready();
    let _web = Container::start();
    let trace = Watch::start();
    run("lxc-stop", &["--name=web", "--timeout=2"]);
    trace.until_gone("web").incident(|event| {
        event
            .verdict("container-stopped", "likely")
            .is("/culprit/comm", "lxc-stop")
            .is("/victim/container/runtime", "lxc")
            .is("/victim/init/exit/signal", 9)
            .says("/verdict/cause", "sent SIGPWR to the main process sleep")
            .says("/verdict/cause", "SIGKILL")
    });
}

#[test]
fn a_container_that_is_killed_without_a_request_was_not_stopped() {
    Watch::ready();
    let _web = Container::start();
    let trace = Watch::start();
    run("lxc-stop", &["--name=web", "--kill"]);
    trace.until_gone("web").incident(|event| {
        event
            .verdict("container-killed", "certain")
            .is("/culprit/comm", "lxc-start")
            .is("/victim/init/exit/signal", 9)
    });
}

const FOLDER: &str = "/var/lib/lxc/web";

const CONFIG: &str = "\
lxc.uts.name = web
lxc.rootfs.path = dir:/var/lib/lxc/web/rootfs
lxc.apparmor.profile = unconfined
lxc.mount.auto = proc:mixed
lxc.init.cmd = /bin/sleep 1000
lxc.net.0.type = macvlan
lxc.net.0.macvlan.mode = bridge
lxc.net.0.link = eth0
lxc.net.0.name = eth0
lxc.net.0.flags = up
";

/// A container whose init does not heed SIGPWR, with a macvlan link on the guest's card; it goes with the test.
struct Container;

impl Container {
    fn start() -> Self {
        ip("link set eth0 up");
        let root = format!("{FOLDER}/rootfs");
        fs::create_dir_all(&root).expect("a folder can be made");
        run("tar", &["-C", &root, "-xf", "/usr/share/guest/alpine.tar"]);
        fs::write(format!("{FOLDER}/config"), CONFIG).expect("a file can be written");
        let container = Self;
        run("lxc-start", &["--name=web", "--logfile=/tmp/lxc.log", "--logpriority=INFO"]);
        run("lxc-wait", &["--name=web", "--state=RUNNING"]);
        container
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("lxc-stop").args(["--name=web", "--kill"]).output();
        let _ = fs::remove_dir_all(FOLDER);
    }
}
