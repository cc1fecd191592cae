//! "Why does IP link for macvlan containers break after a few seconds?": what the article's snippets do, done for real.
//!
//! In a Docker container the link is called eth0, setting it up needs `NET_ADMIN`, and a fixed address needs a subnet:
//! docs/runtimes.md lists what was changed for that.

use std::{fs, process::Command};

use crate::{
    dockerd::{self, Container, docker},
    harness::{Watch, run, until},
};

#[test]
fn the_first_snippet_as_it_stands_finds_no_link_and_exits() {
    Watch::ready();
    dockerd::start();
    build(
        "snippet1",
        "FROM alpine:latest\nRUN apk add --no-cache iproute2\nCMD ip link set macvlan0 up && ip addr add 192.168.1.100/24 dev macvlan0 && sh\n",
    );
    let mut trace = Watch::start();
    let web = Container::of_image("snippet1", "web", "");
    trace.wait_for("its end", |record| record["event"] == "deleted");
    let code = docker("wait web");
    assert_ne!(code, "0");
    trace.stop().incident(|event| {
        event
            .verdict("container-exited", "likely")
            .is("/culprit/comm", "sh")
            .is("/culprit/container/name", "web")
            .is("/culprit/exit/code", code.parse::<u8>().expect("an exit code"))
            .is("/victim/container/name", "web")
            .says("/verdict/cause", &format!("of container web exited with code {code}"))
    });
    // The shell of the image has an `ip` of its own.
    assert!(web.logs().contains("ip: SIOCGIFFLAGS: No such device"), "{}", web.logs());
}

#[test]
fn the_first_snippet_with_its_link_ends_for_want_of_input() {
    Watch::ready();
    dockerd::start();
    build(
        "snippet1",
        "FROM alpine:latest\nRUN apk add --no-cache iproute2\nCMD ip link set eth0 up && ip addr add 192.168.1.100/24 dev eth0 && sh\n",
    );
    let mut trace = Watch::start();
    let _web = Container::of_image("snippet1", "web", "--cap-add NET_ADMIN");
    trace.wait_for("its end", |record| record["event"] == "deleted");
    trace.stop().incident(|event| {
        event
            .verdict("container-exited", "likely")
            .is("/actor/comm", "dockerd")
            .is("/culprit/comm", "sh")
            .is("/culprit/container/name", "web")
            .is("/culprit/exit/code", 0)
            .is("/victim/container/name", "web")
            .says("/verdict/cause", "of container web exited with code 0, ")
            .says("/verdict/cause", "s after eth0 came up; dockerd")
            .says("/verdict/remedy", "`exec sleep infinity`")
    });
}

#[test]
fn the_second_snippet_lasts_until_it_is_stopped() {
    Watch::ready();
    dockerd::start();
    // There can be one macvlan network on a parent, and the file makes its own.
    docker("network rm mv");
    let folder = "/tmp/snippet2";
    fs::create_dir_all(folder).expect("a folder can be made");
    fs::write(format!("{folder}/compose.yml"), COMPOSE).expect("a file can be made");
    let trace = Watch::start();
    let project = Project::up(format!("{folder}/compose.yml"));
    // What comes last in its command ends by nobody but others, and all that comes before has been done.
    let pid = dockerd::main_process("snippet2-my_app-1");
    until("it sleeps for ever", || {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| words == b"sleep\0infinity\0")
    });
    project.compose("stop --timeout 1");
    trace.stop().incident(|event| {
        event
            .verdict("container-stopped", "likely")
            .is("/culprit/comm", "runc")
            .is("/victim/container/name", "snippet2-my_app-1")
            .says("/verdict/cause", "sent SIGTERM to the main process sleep")
            .says("/verdict/cause", "and SIGKILL")
            .says("/verdict/cause", "who asked the runtime for it is not seen")
    });
}

/// What a file of Docker Compose describes; it goes with the test.
struct Project {
    file: String,
}

impl Project {
    fn up(file: String) -> Self {
        let project = Self { file };
        project.compose("up --detach");
        project
    }

    fn compose(&self, words: &str) {
        let words = format!("compose --file {} {words}", self.file);
        run("docker", &words.split(' ').collect::<Vec<_>>());
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let mut down = Command::new("docker");
        let _ = down.args(["compose", "--file", &self.file, "down", "--timeout", "0"]).output();
    }
}

const COMPOSE: &str = "
services:
  my_app:
    image: alpine:latest
    cap_add:
      - NET_ADMIN
    command: sh -c \"ip link set eth0 up && ip addr add 192.168.1.101/24 dev eth0 && exec sleep infinity\"
    networks:
      my_macvlan_net:
        ipv4_address: 192.168.1.100
networks:
  my_macvlan_net:
    driver: macvlan
    driver_opts:
      parent: eth0
    ipam:
      config:
        - subnet: 192.168.1.0/24
";

#[test]
fn the_third_snippet_ends_when_it_has_served_its_first_client() {
    Watch::ready();
    dockerd::start();
    fs::create_dir_all("/tmp/snippet3").expect("a folder can be made");
    fs::write("/tmp/snippet3/app.py", APP).expect("a file can be made");
    let mut trace = Watch::start();
    // Python is the guest's own: to import an image that has it takes longer than all the rest of the test.
    let web = Container::of_command(
        "alpine",
        "web",
        "--cap-add NET_ADMIN --volume /usr:/usr:ro --volume /tmp/snippet3:/app",
        &["python3", "-u", "/app/app.py"],
    );
    until("it serves", || web.logs().contains("serving"));
    // A macvlan link does not reach its own host: the client is a neighbour in the container's network.
    let answer = run(
        "nsenter",
        &[&format!("--net=/proc/{}/ns/net", web.pid), "busybox", "nc", "192.168.1.100", "8080"],
    );
    assert!(answer.contains("Hello World!"), "{answer}");
    trace.wait_for("its end", |record| record["event"] == "deleted");
    trace.stop().incident(|event| {
        event
            .verdict("container-exited", "likely")
            .is("/culprit/comm", "python3")
            .is("/culprit/exit/code", 0)
            .is("/victim/container/name", "web")
            .says("/verdict/cause", "The main process python3")
    });
}

/// One connection on port 8080, and it leaves.
const APP: &str = r#"
import socket
import subprocess

def set_up(link, address, bits):
    subprocess.check_call(["ip", "link", "set", link, "up"])
    subprocess.check_call(["ip", "addr", "add", f"{address}/{bits}", "dev", link])

set_up("eth0", "192.168.1.100", 24)
with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
    listener.bind(("192.168.1.100", 8080))
    listener.listen()
    print("serving")
    client, _ = listener.accept()
    with client:
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\nHello World!")
"#;

/// `docker build` of a Dockerfile. Its commands need no network: to give each of them one costs seconds under emulation.
fn build(image: &str, dockerfile: &str) {
    let folder = format!("/tmp/{image}");
    fs::create_dir_all(&folder).expect("a folder can be made");
    fs::write(format!("{folder}/Dockerfile"), dockerfile).expect("a file can be made");
    let mut build = Command::new("docker");
    // The builder of the days before plug-ins, which needs no pull.
    let output = build
        .env("DOCKER_BUILDKIT", "0")
        .args(["build", "--network", "none", "--tag", image, &folder])
        .output();
    let output = output.expect("docker is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
