//! Tracing leaves no mark on the kernel.

use std::{env, fs, process::Command};

use crate::harness::{Parent, binary, ip_path, run};

/// `TAINT_WARN`, bit 9 of /proc/sys/kernel/tainted: the kernel has warned of something.
const WARNED: u64 = 1 << 9;

fn has_warned() -> bool {
    let tainted = fs::read_to_string("/proc/sys/kernel/tainted").expect("it can be read");
    tainted.trim().parse::<u64>().expect("it is a number") & WARNED != 0
}

fn warnings() -> Vec<String> {
    run("dmesg", &[]).lines().filter(|line| line.contains("WARNING:")).map(str::to_owned).collect()
}

#[test]
fn the_kernel_has_nothing_to_warn_of() {
    // It warns of a thing once. So in a guest all that was traced before counts; on a machine, what others did does not.
    let is_ours = env::var_os("MACVLAN_TRACE_TEST_HOST").is_none();
    let (had_warned, before) = if is_ours { (false, Vec::new()) } else { (has_warned(), warnings()) };
    let _parent = Parent::dummy("par0");
    let script = format!(
        "IP={}; $IP link add macvlan0 link par0 type macvlan; $IP link set macvlan0 up; \
         unshare -p -f -n sh -c 'read pid rest < /proc/self/stat; echo $pid; read line' | \
         while read pid; do $IP link set macvlan0 netns $pid; kill -9 $pid; done",
        ip_path()
    );
    // It has ended, and detached its programs, before the kernel is asked.
    let output = Command::new(binary()).args(["-o", "json", "-e", "all", "--", "sh", "-c", &script]).output();
    let output = output.expect("the binary under test starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("\"event\":\"deleted\""), "{}\n{said}", output.status);
    let new: Vec<String> = warnings().into_iter().filter(|line| !before.contains(line)).collect();
    assert!(new.is_empty() && has_warned() == had_warned, "the kernel has warned: {new:#?}");
}
