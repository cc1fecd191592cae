//! What becomes of a process, and of its link, that was started in a terminal.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use crate::harness::{Stream, Watch, ip, run, until};

#[test]
fn who_kills_the_holder_of_a_terminal_ends_what_runs_in_it() {
    Watch::ready();
    let session = Session::open("exec sleep 600");
    let trace = Watch::start();
    let killer = run("sh", &["-c", &format!("echo $$; exec busybox kill -9 {}", session.holder.id())]);
    ended(trace).incident(|event| {
        event
            .verdict("container-killed", "likely")
            .is("/culprit/pid", killer.parse::<u32>().expect("a process id"))
            .is("/culprit/comm", "busybox")
            .is("/victim/init/pid", session.pid)
            .is("/victim/init/exit/signal", 1)
            .says("/verdict/cause", &format!("script (PID {}", session.holder.id()))
            .says("/verdict/cause", "let go of the terminal")
            .says("/verdict/cause", "killed by busybox")
            .says("/verdict/remedy", "setsid")
    });
}

#[test]
fn what_does_not_heed_the_loss_of_its_terminal_ends_for_another_reason() {
    Watch::ready();
    let session = Session::open("trap '' HUP; until [ -e /tmp/mt-end ]; do sleep 0.1; done; exit 3");
    let trace = Watch::start();
    run("busybox", &["kill", "-9", &session.holder.id().to_string()]);
    fs::write("/tmp/mt-end", "").expect("a file can be made");
    ended(trace).incident(|event| {
        event
            .verdict_sure_or_likely("container-exited")
            .is("/culprit/pid", session.pid)
            .is("/culprit/exit/code", 3)
            .says("/verdict/cause", "exited with code 3")
    });
    fs::remove_file("/tmp/mt-end").expect("it is there");
}

/// Everything until the link is deleted.
fn ended(mut trace: Watch) -> Stream {
    trace.wait_for_event("deleted", "mv0");
    trace.stop()
}

/// A network namespace whose only process was started in a terminal of `script`, with a macvlan link on the guest's card;
/// it goes with the test.
struct Session {
    holder: Child,
    /// Process id of that process.
    pid: u32,
}

impl Session {
    fn open(command: &str) -> Self {
        let file = "/tmp/mt-session";
        let line = format!("exec unshare --net sh -c \"echo \\$\\$ >{file}; {command}\"");
        let holder = Command::new("script")
            .args(["--quiet", "--flush", "--command", &line, "/dev/null"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("script is installed");
        let said = || fs::read_to_string(file).ok().and_then(|pid| pid.trim().parse::<u32>().ok());
        until("the process runs", || said().is_some());
        let pid = said().expect("a process id");
        fs::remove_file(file).expect("it is there");
        ip("link set eth0 up");
        ip("link add mv0 link eth0 type macvlan");
        ip(&format!("link set mv0 netns {pid}"));
        Self { holder, pid }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-9", &self.pid.to_string()]).output();
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
