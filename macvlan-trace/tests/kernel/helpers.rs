//! Programs that a shell cannot write: this binary runs itself for them.

use std::{
    io::{Write as _, stdin, stdout},
    net::{TcpListener, TcpStream},
};

use crate::harness::{Container, ip};

/// Starts the helper of that name as the main process of a container. It waits for [`Container::go`].
pub fn container(helper: &str) -> Container {
    let own = std::env::current_exe().expect("this binary has a path").to_string_lossy().into_owned();
    let name = format!("helpers::{helper}");
    // The shell says who it is, and becomes the helper.
    let script = format!("exec {own} --exact {name} --ignored --nocapture");
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
