//! Programs that a shell cannot write: this binary runs itself for them.

use std::{
    fs::File,
    io::{Write as _, stdin, stdout},
    net::{TcpListener, TcpStream},
    os::{fd::AsFd as _, unix::process::CommandExt as _},
    process::Command,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::harness::{Container, Unit, ip, signal};

/// Starts the helper of that name as the main process of a container, with what a shell does `before`. It waits for
/// [`Container::go`].
pub fn container(helper: &str, before: &str) -> Container {
    let own = std::env::current_exe().expect("this binary has a path").to_string_lossy().into_owned();
    let name = format!("helpers::{helper}");
    // The shell says who it is, and becomes the helper.
    let script = format!("{before} exec {own} --exact {name} --ignored --nocapture");
    let mut container = Container::start(&script);
    // The test runner's own words come before the helper's.
    while container.line() != "ready" {}
    container
}

#[test]
#[ignore = "is run as a container's main process"]
fn ends_with_a_connection_open() {
    ip("link set lo up");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let client = TcpStream::connect(listener.local_addr().expect("it has an address")).expect("it listens");
    let server = listener.accept().expect("the client is there");
    println!("\nready");
    stdout().flush().expect("somebody reads");
    stdin().read_line(&mut String::new()).expect("somebody writes");
    std::mem::forget((listener, client, server));
    std::process::exit(3);
}

#[test]
#[ignore = "is run as a container's main process"]
fn aborts() {
    println!("\nready");
    stdout().flush().expect("somebody reads");
    stdin().read_line(&mut String::new()).expect("somebody writes");
    // The kernel drops the SIGABRT of an init to itself, and so the C library runs into an instruction that is a fault.
    std::process::abort();
}

/// A process that makes a network namespace with the link macvlan9, goes on to one with macvlan0, and waits for [`Container::go`] to leave it.
pub fn leaver(how: &str) -> Container {
    let own = std::env::current_exe().expect("this binary has a path").to_string_lossy().into_owned();
    let script = format!("HOW={how} exec {own} --exact helpers::leaves_its_namespace --ignored --nocapture");
    let mut leaver = Container::spawn(&["sh", "-c"], &script);
    while leaver.line() != "ready" {}
    leaver
}

#[test]
#[ignore = "is run as a process that makes a network namespace and leaves it"]
fn leaves_its_namespace() {
    let how = std::env::var("HOW").expect("it is told how");
    let leaves = move || {
        let home = File::open("/proc/thread-self/ns/net").expect("it has a namespace");
        // The second one is made in a namespace that is watched.
        for link in ["macvlan9", "macvlan0"] {
            // SAFETY: it gives up nothing that another part of this process relies on.
            unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }
                .expect("a namespace can be made");
            ip("link add par1 type dummy");
            ip(&format!("link add {link} link par1 type macvlan"));
        }
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        // Another one that lives there, and ends when the test says so.
        let heir = (how == "heir").then(|| Command::new("sh").args(["-c", "read line; exit 3"]).spawn());
        println!("\nready");
        stdout().flush().expect("somebody reads");
        if how != "heir" {
            stdin().read_line(&mut String::new()).expect("somebody writes");
        }
        if how != "thread" {
            move_into_link_name_space(home.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("it can be entered");
        }
        drop(socket);
        if let Some(heir) = heir {
            println!("left");
            stdout().flush().expect("somebody reads");
            heir.expect("a shell can be started").wait().expect("it ends");
        }
    };
    std::thread::spawn(leaves).join().expect("it leaves");
    println!("left");
    stdout().flush().expect("somebody reads");
    stdin().read_line(&mut String::new()).expect("somebody writes");
}

/// A process that holds a tap device until [`Container::go`].
pub fn owner_of_tap(name: &str) -> Container {
    let own = std::env::current_exe().expect("this binary has a path").to_string_lossy().into_owned();
    let script = format!("TAP={name} exec {own} --exact helpers::holds_a_tap --ignored --nocapture");
    let mut owner = Container::spawn(&["sh", "-c"], &script);
    while owner.line() != "ready" {}
    owner
}

#[test]
#[ignore = "is run as the owner of a tap"]
fn holds_a_tap() {
    let name = std::env::var("TAP").expect("the device has a name");
    let tun = File::options().read(true).write(true).open("/dev/net/tun").expect("tun can be opened");
    let request = tap_request(&name);
    // SAFETY: TUNSETIFF reads an ifreq, of which name and flags are set, and which lives until the call is over.
    let result =
        unsafe { rustix::ioctl::ioctl(&tun, rustix::ioctl::Setter::<TUNSETIFF, [u8; 40]>::new(request)) };
    result.expect("the tap can be made");
    println!("\nready");
    stdout().flush().expect("somebody reads");
    stdin().read_line(&mut String::new()).expect("somebody writes");
    drop(tun);
}

/// `_IOW('T', 202, int)`, include/uapi/linux/if_tun.h.
const TUNSETIFF: rustix::ioctl::Opcode = 0x4004_54ca;

/// A `struct ifreq` that asks for a tap device.
fn tap_request(name: &str) -> [u8; 40] {
    const IFF_TAP: u16 = 2;
    const IFF_NO_PI: u16 = 0x1000;
    let mut request = [0; 40];
    request[..name.len()].copy_from_slice(name.as_bytes());
    request[16..18].copy_from_slice(&(IFF_TAP | IFF_NO_PI).to_ne_bytes());
    request
}

/// A process of the unit goes to a named network namespace and back, a thousand times.
pub fn commute(unit: &Unit, to: &str) {
    let own = std::env::current_exe().expect("this binary has a path").to_string_lossy().into_owned();
    unit.sh(&format!("NETNS=/run/netns/{to} exec {own} --exact helpers::commutes --ignored"));
}

#[test]
#[ignore = "is run as a process that changes its network namespace"]
fn commutes() {
    let there = std::env::var("NETNS").expect("the namespace has a path");
    let ways = [&there, "/proc/self/ns/net"].map(|path| File::open(path).expect("it is there"));
    for _ in 0..1000 {
        for way in &ways {
            move_into_link_name_space(way.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("it can be entered");
        }
    }
}

/// Sends SIGPWR to a process, as a program of that name.
pub fn ask_for_the_end(name: &str, pid: u32) {
    let own = std::env::current_exe().expect("this binary has a path");
    let mut asker = Command::new(own);
    asker.arg0(name).args(["--exact", "helpers::asks_for_the_end", "--ignored"]);
    let status = asker.env("TARGET", pid.to_string()).status().expect("it starts");
    assert!(status.success(), "{name}: {status}");
}

#[test]
#[ignore = "is run as a program of a runtime"]
fn asks_for_the_end() {
    let pid = std::env::var("TARGET").expect("it is told whom").parse().expect("a process id");
    signal(pid, rustix::process::Signal::POWER);
}
