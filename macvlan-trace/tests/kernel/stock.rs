//! Links and modules that were there before the tracer, or come after it.

use crate::harness::{Container, NamedNetns, Parent, Trace, ip, own_netns, run};

#[test]
fn what_was_there_before_is_listed_with_an_unknown_past() {
    let parent = Parent::dummy("par0");
    ip("link add macvlan0 link par0 type macvlan");
    let mut container = Container::with_link("macvlan1", &parent, "read line; exit 6");
    let named = NamedNetns::add("mt-named");
    ip("link add macvlan2 link par0 netns mt-named type macvlan");
    let mut trace = Trace::start(&[]);
    let stock = trace.run_record()["stock"].clone();
    assert_eq!(stock["links"], 3, "{stock}");
    assert_eq!(stock["namespaces"], 3, "{stock}");
    assert_eq!(stock["unseen_namespaces"], 0, "{stock}");
    let link = |name: &str| {
        let watched = stock["watched"].as_array().expect("a list");
        watched
            .iter()
            .find(|link| link["name"] == name)
            .unwrap_or_else(|| panic!("no {name} in {stock}"))
            .clone()
    };
    assert_eq!(link("macvlan0")["up"], false);
    assert_eq!(link("macvlan0")["netns"]["inode"], own_netns());
    assert_eq!(link("macvlan0")["parent"]["name"], "par0");
    assert_eq!(link("macvlan1")["up"], true);
    assert_eq!(link("macvlan1")["netns"]["inode"], container.netns());
    assert_eq!(link("macvlan1")["parent"]["name"], "par0");
    assert_eq!(link("macvlan2")["netns"]["name"], "mt-named");
    assert_eq!(link("macvlan2")["netns"]["inode"], named.inode());

    container.go();
    container.wait();
    trace.wait_for_event("deleted", "macvlan1");
    trace
        .stop()
        .only("deleted", "macvlan1")
        .by_worker()
        .verdict("container-exited", "certain")
        .victim(&container)
        .is("/culprit/pid", container.pid)
        .is("/culprit/exit/code", 6)
        .is("/link/age_ns", serde_json::Value::Null)
        .is("/link/up_for_ns", serde_json::Value::Null);
    ip("link del macvlan0");
}

#[test]
fn a_module_loaded_after_the_tracer_is_traced() {
    if std::env::var_os("MACVLAN_TRACE_TEST_HOST").is_some() {
        return; // Unloading is not for machines that others use.
    }
    let _parent = Parent::dummy("par0");
    run("sh", &["-c", "rmmod macvtap 2>/dev/null; rmmod macvlan 2>/dev/null; true"]);
    assert!(std::fs::metadata("/sys/module/macvlan").is_err(), "the module is gone");
    let trace = Trace::start(&[]);
    ip("link add macvlan0 link par0 type macvlan");
    ip("link set macvlan0 up");
    ip("link set macvlan0 down");
    trace.stop().only("down", "macvlan0").by("ip").verdict("direct", "certain").is("/link/mode", "vepa");
    ip("link del macvlan0");
}
