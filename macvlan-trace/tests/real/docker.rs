//! What Docker Engine does to a container's link, with systemd and without.

use crate::{
    dockerd::{Container, docker},
    harness::{Stream, Trace},
};

#[test]
fn a_container_that_is_killed_is_one_incident() {
    let _web = Container::run("web", "", "sleep 1000");
    let trace = Trace::start(&[]);
    docker("kill web");
    ended(trace, "web").incident(|event| {
        event
            .verdict("container-killed", "likely")
            .is("/culprit/comm", "runc")
            .is("/victim/container/name", "web")
            .says("/verdict/cause", "SIGKILL")
    });
}

/// Everything until the link of a container is deleted.
fn ended(mut trace: Trace, container: &str) -> Stream {
    trace.wait_for("a deletion", |record| {
        record["event"] == "deleted" && record["victim"]["container"]["name"] == container
    });
    trace.stop()
}
