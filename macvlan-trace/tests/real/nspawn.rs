//! What systemd-nspawn does to a container's link, which it makes on the host and moves in.

use std::{fs, process::Command};

use crate::harness::{Stream, Watch, ip, run, until};

#[test]
fn a_container_whose_command_ends_has_itself_to_blame() {
    Watch::ready();
    let container = Container::run("until [ -e /go ]; do sleep 0.1; done; exit 3");
    let trace = Watch::start();
    fs::write(format!("{ROOT}/go"), "").expect("a file can be made");
    ended(trace).incident(|event| {
        event
            .verdict("container-exited", "likely")
            .is("/culprit/comm", "sh")
            .is("/culprit/pid", container.pid)
            .is("/victim/container/runtime", "systemd-nspawn")
            .is("/victim/container/name", "web")
            .says("/verdict/cause", "exited with code 3")
    });
}

#[test]
fn a_container_that_is_terminated_is_its_killers() {
    Watch::ready();
    let _container = Container::run("sleep 1000");
    let trace = Watch::start();
    run("machinectl", &["terminate", "web"]);
    ended(trace).incident(|event| {
        event
            .verdict("container-killed", "likely")
            .is("/culprit/comm", "systemd-nspawn")
            .is("/victim/container/name", "web")
    });
}

/// Everything until the container's link is deleted.
fn ended(mut trace: Watch) -> Stream {
    trace.wait_for_event("deleted", "mv-eth0");
    trace.stop()
}

const ROOT: &str = "/tmp/nspawn";

/// A container with a macvlan link on the guest's card; it goes with the test.
struct Container {
    /// Process id of its main process.
    pid: u32,
}

impl Container {
    fn run(script: &str) -> Self {
        ip("link set eth0 up");
        fs::create_dir_all(format!("{ROOT}/usr")).expect("a folder can be made");
        run("tar", &["-C", ROOT, "-xf", "/usr/share/guest/alpine.tar"]);
        let script = format!("ip link set mv-eth0 up; touch /up; {script}");
        let machine = ["systemd-nspawn", "--directory", ROOT, "--machine=web", "--network-macvlan=eth0"];
        let unit = ["--collect", "--unit=nspawn-web"];
        run("systemd-run", &[&unit[..], &machine, &["/bin/sh", "-c", &script]].concat());
        until("its link is up", || fs::exists(format!("{ROOT}/up")).is_ok_and(|exists| exists));
        let pid = run("machinectl", &["show", "web", "--property=Leader", "--value"]);
        Self { pid: pid.parse().expect("a process id") }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("systemctl").args(["stop", "nspawn-web.service"]).output();
        let _ = fs::remove_dir_all(ROOT);
    }
}
