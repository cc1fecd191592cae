//! The command line, where it needs a kernel: a traced command, filters, limits, the table.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    process::{Command, Output},
};

use macvlan_trace::live::btf::VMLINUX;

use crate::harness::{Parent, Stream, Trace, binary, ip, ip_path, signal};

fn tracer(args: &[&str]) -> Output {
    Command::new(binary()).args(args).output().expect("the binary under test starts")
}

#[test]
fn a_traced_command_gets_its_own_status_back() {
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    ip("link set macvlan0 up");
    let script = format!("echo from the command; {} link set macvlan0 down; exit 42", ip_path());
    let output = tracer(&["-o", "json", "--", "sh", "-c", &script]);
    assert_eq!(output.status.code(), Some(42));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.lines().any(|line| line == "from the command"), "{text}");
    Stream::parse(&output.stdout).only("down", "macvlan0").by("ip");

    let output = tracer(&["-o", "json", "--", "sh", "-c", "kill -9 $$"]);
    assert_eq!(output.status.code(), Some(128 + 9));
    let output = tracer(&["-o", "json", "--", "/nonexistent"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("cannot start /nonexistent"), "{said}");
}

#[test]
fn a_traced_container_is_waited_for() {
    let _parent = Parent::dummy("par0");
    // The namespace goes after the command has ended, in a kernel worker.
    let ip = ip_path();
    let script = format!(
        "unshare -p -f -n sh -c 'read pid rest < /proc/self/stat; echo $pid > /tmp/mt-pid; \
         until {ip} link set macvlan0 up 2>/dev/null; do :; done; exit 9' & \
         until [ -s /tmp/mt-pid ]; do :; done; \
         {ip} link add macvlan0 link par0 type macvlan; {ip} link set macvlan0 netns $(cat /tmp/mt-pid); \
         wait; rm /tmp/mt-pid"
    );
    let output = tracer(&["-o", "json", "--", "sh", "-c", &script]);
    let stream = Stream::parse(&output.stdout);
    stream.only("deleted", "macvlan0").verdict("container-exited", "certain").is("/culprit/exit/code", 9);
}

#[test]
fn a_namespace_that_goes_after_the_command_is_waited_for() {
    let _parent = Parent::dummy("par0");
    let ip = ip_path();
    // The command is the namespace's only process, and the socket of its last `ip` outlives both.
    let script =
        format!("{ip} link add par1 type dummy; {ip} link add macvlan0 link par1 type macvlan; exit 6");
    let output = tracer(&["-o", "json", "--", "unshare", "-n", "sh", "-c", &script]);
    let stream = Stream::parse(&output.stdout);
    stream
        .only("deleted", "macvlan0")
        .by_worker()
        .is("/verdict/rule", "container-exited")
        .is("/culprit/comm", "sh")
        .is("/culprit/exit/code", 6);
}

#[test]
fn a_time_that_is_up_leaves_the_command_alone() {
    let output = tracer(&["-o", "json", "-t", "0.2", "--", "sh", "-c", "sleep 1; exit 5"]);
    assert_eq!(output.status.code(), Some(5), "its status is still the command's");
    Stream::parse(&output.stdout).nothing();
}

#[test]
fn filters_show_what_they_match() {
    let _parent = Parent::dummy("par0");
    for name in ["mva0", "mvb0"] {
        ip(&format!("link add {name} link par0 type macvlan"));
    }
    ip("link add tap0 link par0 type macvtap");
    let shown = |args: &[&str], script: &str| -> Vec<String> {
        let mut all = vec!["-o", "json"];
        all.extend(args);
        let script = format!("IP={}; {script}", ip_path());
        all.extend(["--", "sh", "-c", &script]);
        let stream = Stream::parse(&tracer(&all).stdout);
        stream
            .events()
            .iter()
            .map(|event| {
                format!(
                    "{} {}",
                    event["event"].as_str().unwrap_or("?"),
                    event["link"]["name"].as_str().unwrap_or("?")
                )
            })
            .collect()
    };
    // Each filter by itself is tested without a kernel; these are the ways through the binary.
    let cycle = "for l in mva0 mvb0 tap0; do $IP link set $l up; $IP link set $l down; done";
    assert_eq!(shown(&[], cycle), ["down mva0", "down mvb0", "down tap0"]);
    assert_eq!(shown(&["-e", "up,down", "-i", "mvb*", "--comm", "ip"], cycle), ["up mvb0", "down mvb0"]);
    assert_eq!(shown(&["-k", "macvtap", "--netns", "/proc/self/ns/net", "-c", "1"], cycle), ["down tap0"]);
    assert_eq!(shown(&["-p", "1"], cycle), [""; 0]);
}

#[test]
fn an_incident_says_what_became_of_its_links() {
    let _parent = Parent::dummy("par0");
    for name in ["macvlan0", "macvlan1", "macvlan2"] {
        ip(&format!("link add {name} link par0 type macvlan"));
        ip(&format!("link set {name} up"));
    }
    // Each by a caller of its own: what one does in a row is one incident.
    let script = "sh -c '$IP link set macvlan0 down; $IP link set macvlan0 up; :'; \
                  sh -c '$IP link del macvlan1; :'; sh -c '$IP link set macvlan2 down; :'";
    let script = format!("export IP={}; {script}", ip_path());
    let output = tracer(&["-o", "json", "--per", "incident", "--", "sh", "-c", &script]);
    let stream = Stream::parse(&output.stdout);
    stream.nothing();
    stream
        .settled("macvlan0")
        .is("/culprit/comm", "ip")
        .is("/links/0/outcome", "up_again")
        .is("/links/0/first/event", "down")
        .holds("it says how long that took", |record| record["links"][0]["up_again_ns"].as_u64().is_some());
    stream.settled("macvlan1").is("/links/0/outcome", "gone").is("/events", 1);
    stream
        .settled("macvlan2")
        .is("/links/0/outcome", "broken")
        .is("/links/0/up_again_ns", serde_json::Value::Null);
    assert_eq!(stream.summary()["events"], 3, "{stream}");
}

/// What is told of a script that runs in a shell, while the VRF vrf0 and links that are up are there.
fn told_of(links: &[&str], script: &str) -> Stream {
    let _parent = Parent::dummy("par0");
    ip("link add vrf0 type vrf table 10");
    for name in links {
        ip(&format!("link add {name} link par0 type macvlan"));
        ip(&format!("link set {name} up"));
    }
    let script = format!("IP={}; {script}", ip_path());
    let output = tracer(&["-o", "json", "-e", "all", "--", "sh", "-c", &script]);
    ip("link del vrf0");
    Stream::parse(&output.stdout)
}

#[test]
fn a_link_that_joins_a_vrf_is_down_for_a_moment() {
    let stream = told_of(&["mv0"], "$IP link set mv0 master vrf0");
    stream
        .one("down", "mv0")
        .by("ip")
        .verdict("direct", "certain")
        .says("/verdict/cause", "changed the VRF of mv0, for which the kernel sets it down and up again")
        .is("/incident", stream.one("up", "mv0").value("/incident"));
    stream
        .settled("mv0")
        .is("/links/0/outcome", "up_again")
        .says("/verdict/cause", "mv0 was down for")
        .says("/verdict/remedy", "keep_addr_on_down=1")
        .holds("nobody has to set it up", |record| {
            record["verdict"]["remedy"].as_str().is_some_and(|remedy| !remedy.contains("ip link set"))
        });
}

#[test]
fn a_script_that_sets_a_link_down_and_up_is_one_incident() {
    let stream = told_of(
        &["mv0"],
        "$IP link set mv0 down; $IP link set mv0 address 02:00:00:00:00:99; $IP link set mv0 up",
    );
    assert_eq!(stream.all().len(), 3, "{stream}");
    stream.incident(|event| event.by("ip"));
    stream.settled("mv0").is("/events", 3).is("/links/0/outcome", "up_again");
}

#[test]
fn a_lost_address_is_shown_if_it_was_the_last_of_its_family() {
    let _parent = Parent::dummy("par0");
    ip("link add mv0 link par0 type macvlan");
    ip("link set mv0 up");
    for address in ["192.0.2.7/24", "192.0.2.8/24", "198.51.100.1/24", "fd00::7/64", "fd00::8/64"] {
        ip(&format!("addr add {address} dev mv0 nodad"));
    }
    let script = "for a in fd00::7/64 fd00::8/64 192.0.2.8/24 192.0.2.7/24 198.51.100.1/24; do \
                  $IP addr del $a dev mv0; done";
    let script = format!("IP={}; {script}", ip_path());
    let stream = Stream::parse(&tracer(&["-o", "json", "--", "sh", "-c", &script]).stdout);
    let shown: Vec<_> = stream.all().iter().map(|event| event.value("/address")).collect();
    assert_eq!(shown, ["fd00::8/64", "198.51.100.1/24"], "{stream}");
    stream.incident(|event| event.by("ip").verdict("direct", "certain"));
    stream
        .settled("mv0")
        .is("/events", 5)
        .says("/verdict/cause", "removed the address fd00::8/64 of mv0, its last one of IPv6");
}

#[test]
fn a_loop_over_links_is_one_incident() {
    let stream = told_of(&["mv1", "mv2", "mv3"], "for n in 1 2 3; do $IP link set mv$n down; done");
    assert_eq!(stream.all().len(), 3, "{stream}");
    stream.incident(|event| event.by("ip"));
    stream.settled("mv1").is("/link_count", 3).is("/links/2/outcome", "broken");
}

#[test]
fn the_table_names_the_culprit() {
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    ip("link set macvlan0 up");
    let output = tracer(&["-v", "--", &ip_path(), "link", "del", "macvlan0"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.lines().any(|line| line.starts_with("#1 ") && line.contains(": ip (PID ")), "{text}");
    assert!(text.lines().any(|row| row.contains("macvlan0@par0") && row.contains("deleted")), "{text}");
    assert!(text.lines().any(|line| line == "#1 in all: gone"), "{text}");
    assert!(text.contains("rtnl_dellink"), "-v shows the kernel path: {text}");
    assert!(text.contains("1 event, 0 unattributed, 0 lost"), "{text}");
}

#[test]
fn the_log_of_the_probes_is_shown_on_request() {
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    let output = tracer(&["-vv", "--", &ip_path(), "link", "del", "macvlan0"]);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(log.contains("deleted: dev"), "{log}");
}

#[test]
fn sigterm_ends_a_run_with_its_summary() {
    let mut trace = Trace::start(&[]);
    signal(trace.pid(), rustix::process::Signal::TERM);
    trace.wait_for("the summary", |record| record["type"] == "summary");
}

#[test]
fn a_timeout_ends_a_run_with_its_summary() {
    let output = tracer(&["-o", "json", "-t", "1"]);
    assert!(output.status.success());
    Stream::parse(&output.stdout).nothing();
}

#[test]
fn a_closed_pipe_ends_a_run_quietly() {
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    let script = format!(
        "{{ {} -o json -e all -- sh -c 'sleep 1; for n in 1 2 3; do {ip} link set macvlan0 up; {ip} link set \
         macvlan0 down; done'; echo status $? >&2; }} | head -n 1",
        binary(),
        ip = ip_path()
    );
    let output = Command::new("sh").args(["-c", &script]).output().expect("a shell runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said.trim(), "status 0", "no word, no panic");
}

#[test]
fn check_finds_everything_in_place() {
    let output = tracer(&["check"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("unregister_netdevice_queue"), "{text}");
}

#[test]
fn without_privileges_it_says_which_are_missing() {
    let output = Command::new(binary()).uid(65534).gid(65534).output().expect("the binary under test starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("CAP_BPF") && said.contains("sudo"), "{said}");
    assert!(!said.contains("panicked") && !said.contains("backtrace"), "{said}");
}

#[test]
fn the_kernels_types_are_read_once() {
    let types = fs::read(VMLINUX).expect("the kernel shows its types").len();
    let trace = Trace::start(&[]);
    let counts = fs::read_to_string(format!("/proc/{}/io", trace.pid())).expect("the kernel counts");
    let read = counts.lines().find_map(|line| line.strip_prefix("rchar: "));
    let read: usize = read.and_then(|number| number.parse().ok()).expect("a number");
    assert!((types..2 * types).contains(&read), "{read} bytes are read, of which the types are {types}");
    trace.stop().nothing();
}
