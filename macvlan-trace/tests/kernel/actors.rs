//! Who asked for it: every way to take a link down or to delete it, and every kind of actor.

use std::{
    fs::{self, File},
    io::Write as _,
    os::{fd::AsRawFd as _, unix::process::CommandExt as _},
    path::Path,
    process::{Command, Stdio},
};

use crate::harness::{Parent, Trace, Watch, cgroup_root, ip, ip_path, own_netns, remove_group, run, sh};

/// The inode number of the namespace that we are in, as JSON has it.
fn here() -> u64 {
    own_netns()
}

#[test]
fn netlink_down_names_ip() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan mode bridge");
    ip("link set macvlan0 up");
    ip("link set macvlan0 down");
    trace
        .stop()
        .only("down", "macvlan0")
        .by("ip")
        .verdict("direct", "certain")
        .is("/link/kind", "macvlan")
        .is("/link/mode", "bridge")
        .is("/link/netns/inode", here())
        .is("/link/parent/name", "par0")
        .is("/link/parent/netns", here())
        .is("/link/parent/deleted", false)
        .is("/actor/uid", 0)
        .is("/actor/args", serde_json::json!([ip_path(), "link", "set", "macvlan0", "down"]))
        .is("/actor/cgroup/path", own_cgroup())
        .is("/actor/netns", here())
        .holds("it was up and is not any more", |event| {
            let has_up = |flags: &serde_json::Value| {
                flags.as_array().is_some_and(|flags| flags.iter().any(|flag| flag == "UP"))
            };
            has_up(&event["link"]["flags"]["before"]) && !has_up(&event["link"]["flags"]["after"])
        })
        .holds("the path leads from rtnetlink to the probe", |event| {
            let stack = event["kernel"]["stack"].to_string();
            // On 5.10 a path ends at the function whose return is probed, `rtnl_newlink`.
            stack.contains("do_setlink")
                && (stack.contains("rtnetlink_rcv") || stack.contains("kretprobe_trampoline"))
        });
}

#[test]
fn the_file_that_ran_is_named_whatever_the_process_calls_itself() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    let folder = tempfile::tempdir().expect("a folder can be made");
    let place = folder.path().canonicalize().expect("it is there").join("some where");
    fs::create_dir(&place).expect("a folder can be made");
    let program = |name: &str, of: &str| {
        let path = place.join(name);
        fs::copy(of, &path).expect("a program can be copied");
        path.to_str().expect("its path is text").to_owned()
    };
    let (tool, shell) = (program("my tool", &ip_path()), program("shell", "/bin/sh"));
    let runs = |path: &str, name: &str, args: &[&str]| {
        let status = Command::new(path).arg0(name).args(args).status().expect("it starts");
        assert!(status.success(), "{path} {args:?}: {status}");
    };
    ip("link add macvlan0 link par0 type macvlan");
    runs(&tool, "ip", &["link", "del", "macvlan0"]);
    ip("link add macvlan1 link par0 type macvlan");
    ip("link set macvlan1 up");
    let pretends = "printf NetworkManager >/proc/$$/comm && rm \"$0\" && \
                    echo 0x1002 >/sys/class/net/macvlan1/flags";
    runs(&shell, "sh", &["-c", pretends, &shell]);
    let stream = trace.stop();
    stream.one("deleted", "macvlan0").by("my tool").is("/actor/exe", &*tool).is("/culprit/exe", &*tool);
    stream.one("down", "macvlan1").by("NetworkManager").is("/actor/exe", format!("{shell} (deleted)"));
}

#[test]
fn the_path_of_a_file_crosses_mounts_and_says_where_it_was_cut() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    let folder = tempfile::tempdir().expect("a folder can be made");
    let root = folder.path().canonicalize().expect("it is there");
    let tool = |folder: &Path| {
        fs::create_dir_all(folder).expect("a folder can be made");
        fs::copy(ip_path(), folder.join("tool")).expect("a program can be copied");
        folder.join("tool").display().to_string()
    };
    let deletes = |path: &str, link: &str| {
        ip(&format!("link add {link} link par0 type macvlan"));
        let status = Command::new(path).args(["link", "del", link]).status().expect("it starts");
        assert!(status.success(), "{path}: {status}");
    };
    let deep = tool(&(0..30).fold(root.clone(), |path, level| path.join(level.to_string())));
    let long = tool(&(0..4).fold(root.clone(), |path, level| path.join(format!("{level}").repeat(250))));
    // A mount on a mount.
    let [inner, outer, place] = ["inner", "outer", "place"].map(|name| root.join(name));
    tool(&inner);
    fs::create_dir_all(&place).expect("a folder can be made");
    fs::create_dir_all(&outer).expect("a folder can be made");
    for source in [&outer, &inner] {
        sh(&format!("mount --bind {} {}", source.display(), place.display()));
    }
    let mounted = place.join("tool").display().to_string();
    let memory =
        rustix::fs::memfd_create("in-memory", rustix::fs::MemfdFlags::empty()).expect("there is memory");
    let memory = File::from(memory);
    (&memory).write_all(&fs::read(ip_path()).expect("it can be read")).expect("there is room");
    let in_memory = format!("/proc/{}/fd/{}", std::process::id(), memory.as_raw_fd());
    for (path, link) in [(&deep, "deep"), (&long, "long"), (&mounted, "mounted"), (&in_memory, "memory")] {
        deletes(path, link);
    }
    // A folder that is moved out of what is mounted, while a program from it runs.
    tool(&inner.join("moved"));
    ip("link add moved link par0 type macvlan");
    let mut running = Command::new(place.join("moved/tool"))
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("it starts");
    fs::rename(inner.join("moved"), root.join("moved")).expect("a folder can be moved");
    running.stdin.take().expect("it reads").write_all(b"link del moved\n").expect("it reads");
    assert!(running.wait().expect("it ends").success());
    let stream = trace.stop();
    sh(&format!("umount {0}; umount {0}", place.display()));
    let cut = |link: &str, end: &str| {
        stream.one("deleted", link).holds("the part near the root is missing", |event| {
            event["actor"]["exe"].as_str().is_some_and(|exe| exe.starts_with('…') && exe.ends_with(end))
        });
    };
    cut("deep", "/28/29/tool");
    cut("long", &format!("/{}/tool", "3".repeat(250)));
    cut("moved", "/moved/tool");
    stream.one("deleted", "mounted").is("/actor/exe", &*mounted);
    stream.one("deleted", "memory").says("/actor/exe", "memfd:in-memory");
}

#[test]
fn ioctl_down_names_who_called_it() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    ip("link set macvlan0 up");
    run("busybox", &["ifconfig", "macvlan0", "down"]);
    trace
        .stop()
        .only("down", "macvlan0")
        .by("busybox")
        .verdict("direct", "certain")
        .is("/link/mode", "vepa")
        .holds("the path leads from the ioctl to the probe", |event| {
            event["kernel"]["stack"].to_string().contains("devinet_ioctl")
        });
}

#[test]
fn sysfs_down_names_the_writer() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    ip("link set macvlan0 up");
    fs::write("/sys/class/net/macvlan0/flags", "0x1002").expect("the flags can be written");
    let stream = trace.stop();
    stream
        .only("down", "macvlan0")
        .verdict("direct", "certain")
        .is("/culprit/pid", std::process::id())
        .is("/actor/pid", std::process::id());
}

#[test]
fn deletion_is_one_event_even_of_a_link_that_is_up() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    ip("link set macvlan0 up");
    ip("link del macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by("ip")
        .verdict("direct", "certain")
        .is("/link/parent/name", "par0")
        .is("/link/parent/deleted", false)
        .is("/kernel/probe", "unregister_netdevice_queue");
}

#[test]
fn deletion_through_a_script_shows_its_ancestors() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    sh("sh -c '$IP link del macvlan0; true'; true");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by("ip")
        .verdict("direct", "certain")
        .is("/actor/ancestors/0/comm", "sh")
        .is("/actor/ancestors/1/comm", "sh")
        .is("/actor/ancestors/2/pid", std::process::id());
}

#[test]
fn an_actor_that_is_gone_at_once_is_still_named() {
    let mut trace = Watch::start();
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    ip("link set macvlan0 up");
    // Reparented, and dead before anybody could look into /proc.
    sh("(exec -a short $IP link set macvlan0 down 2>/dev/null || $IP link set macvlan0 down) &");
    let event = trace.wait_for_event("down", "macvlan0");
    let pid = event["culprit"]["pid"].as_u64().expect("a process id");
    crate::harness::until("it is gone", || fs::metadata(format!("/proc/{pid}")).is_err());
    trace.stop().only("down", "macvlan0").by("ip").verdict("direct", "certain").is("/culprit/args/4", "down");
}

#[test]
fn the_cgroup_is_known_three_levels_deep_and_after_its_removal() {
    let mut trace = Watch::start();
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    let root = cgroup_root();
    let deep = format!("{root}/mt-one/mt-two.slice/mt-three.service");
    fs::create_dir_all(&deep).expect("cgroups can be made");
    sh(&format!("echo $$ > {deep}/cgroup.procs; exec $IP link del macvlan0"));
    for level in ["mt-one/mt-two.slice/mt-three.service", "mt-one/mt-two.slice", "mt-one"] {
        remove_group(format!("{root}/{level}").as_ref()).expect("the cgroup is empty");
    }
    trace.wait_for_event("deleted", "macvlan0");
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by("ip")
        .verdict("direct", "certain")
        .is("/actor/cgroup/path", "/mt-one/mt-two.slice/mt-three.service")
        .is("/actor/unit", "mt-three.service")
        .holds("the id is a number in a string", |event| {
            event["actor"]["cgroup"]["id"].as_str().is_some_and(|id| id.parse::<u64>().is_ok_and(|id| id > 1))
        });
}

#[test]
fn of_a_cgroup_path_with_many_levels_the_end_is_known() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    // Names as long as a pod's, of which twenty levels are told.
    let names: Vec<_> = (1..=24).map(|level| format!("mt-{level}-{}", "x".repeat(90))).collect();
    let mut folders = vec![std::path::PathBuf::from(cgroup_root())];
    for name in &names {
        folders.push(folders[folders.len() - 1].join(name));
    }
    let deepest = &folders[24];
    fs::create_dir_all(deepest).expect("cgroups can be made");
    sh(&format!("echo $$ > {}/cgroup.procs; exec $IP link del macvlan0", deepest.display()));
    for folder in folders[1..].iter().rev() {
        remove_group(folder).expect("the cgroup is empty");
    }
    trace
        .stop()
        .only("deleted", "macvlan0")
        .by("ip")
        .verdict("direct", "certain")
        .is("/actor/cgroup/path", format!("…/{}", names[4..].join("/")));
}

#[test]
fn nothing_is_said_of_a_link_that_is_down_already_nor_of_a_failed_call() {
    Watch::ready();
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    let trace = Watch::all();
    ip("link set macvlan0 down");
    run("busybox", &["ifconfig", "macvlan0", "down"]);
    let missing = Command::new(ip_path()).args(["link", "del", "nothing0"]).output().expect("ip runs");
    assert!(!missing.status.success());
    trace.stop().nothing();
    ip("link del macvlan0");
}

#[test]
fn a_creation_that_fails_is_no_deletion() {
    Watch::ready();
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    ip("link set macvlan0 up");
    let mac = run("cat", &["/sys/class/net/macvlan0/address"]);
    // The address is taken, so the new link cannot come up, and is undone.
    let add = ["link", "add", "macvlan1", "link", "par0", "address", &mac, "up", "type", "macvlan"];
    let fails = || assert!(!Command::new(ip_path()).args(add).output().expect("ip runs").status.success());
    let trace = Trace::start(&[]);
    fails();
    let stream = trace.stop();
    for event in ["up_failed", "create_failed"] {
        stream.one(event, "macvlan1").is("/actor/comm", "ip").is("/verdict/rule", "address-in-use");
    }
    assert_eq!(stream.all().len(), 2, "{stream}");
    let trace = Watch::all();
    fails();
    let stream = trace.stop();
    stream.one("created", "macvlan1").by("ip").verdict("direct", "certain");
    stream
        .one("up_failed", "macvlan1")
        .is("/actor/comm", "ip")
        .is("/culprit", serde_json::Value::Null)
        .verdict("address-in-use", "certain");
    stream.one("deleted", "macvlan1").by("ip").verdict("creation-failed", "certain");
    stream.one("create_failed", "macvlan1").is("/actor/comm", "ip").verdict("address-in-use", "certain");
    assert_eq!(stream.all().len(), 4, "{stream}");
    ip("link del macvlan0");
}

#[test]
fn nothing_is_said_of_other_kinds_of_link() {
    let trace = Watch::all();
    ip("link add other0 type dummy");
    ip("link set other0 up");
    ip("link set other0 down");
    ip("link add link other0 name other0.7 type vlan id 7");
    ip("link set other0 up");
    ip("link del other0");
    trace.stop().nothing();
}

#[test]
fn what_no_probe_announces_comes_out_as_unattributed() {
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    ip("link set macvlan0 up");
    let trace =
        Trace::start(&["--without", "change_flags", "--without", "close_many", "--without", "unregister"]);
    ip("link set macvlan0 down");
    ip("link del macvlan0");
    let stream = trace.stop();
    assert!(stream.events().is_empty(), "{stream}");
    let unseen: Vec<_> = stream.records.iter().filter(|record| record["type"] == "unattributed").collect();
    assert!(unseen.len() == 2 && stream.summary()["unattributed"] == 2, "{stream}");
    for (record, event) in unseen.iter().zip(["down", "deleted"]) {
        assert_eq!(record["event"], event, "{stream}");
        assert_eq!(record["link"]["name"], "macvlan0", "{stream}");
        assert_eq!(record["link"]["netns"]["inode"], here(), "{stream}");
        assert_eq!(record["verdict"]["rule"], "unattributed", "{stream}");
        assert!(record["culprit"].is_null() && record["verdict"]["confidence"] == "unknown", "{stream}");
    }
    let degraded = stream.records[0]["degraded"].to_string();
    assert!(degraded.contains("unregister"), "{degraded}");
}

#[test]
fn what_the_kernel_closes_by_itself_is_seen_without_a_request() {
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    ip("link set macvlan0 up");
    // The probe below the one on the flags sees what that one would.
    let trace = Trace::start(&["--without", "change_flags"]);
    ip("link set macvlan0 down");
    trace
        .stop()
        .only("down", "macvlan0")
        .by("ip")
        .verdict("direct", "certain")
        .is("/kernel/probe", "__dev_close_many");
}

#[test]
fn hostile_names_do_no_harm() {
    let trace = Watch::start();
    let _parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    ip("link set macvlan0 up");
    // A thread can call itself anything.
    let bytes = b"\x1b[2J\xff\n\"\\x";
    std::thread::spawn(move || {
        fs::write("/proc/thread-self/comm", bytes).expect("a thread may name itself");
        fs::write("/sys/class/net/macvlan0/flags", "0x1002").expect("the flags can be written");
    })
    .join()
    .expect("the thread ends");
    trace.stop().only("down", "macvlan0").by("\u{1b}[2J\\xff\n\"\\x").verdict("direct", "certain");
}

/// The path of our own cgroup, as the kernel has it.
fn own_cgroup() -> String {
    let text = fs::read_to_string("/proc/self/cgroup").expect("cgroups are there");
    text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/").to_owned()
}
