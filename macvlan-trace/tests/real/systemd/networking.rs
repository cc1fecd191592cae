//! ifupdown, as the unit `networking.service`.

use super::{File, Foreign};
use crate::harness::{Watch, ip, run};

#[test]
fn its_service_that_is_stopped_sets_down_what_it_knows() {
    Watch::ready();
    ip("link set eth0 up");
    let _link = Foreign::link("foreign0");
    let interfaces = "auto foreign0\niface foreign0 inet static\n    address 192.0.2.99/24\n";
    let _file = File::write("/etc/network/interfaces.d/foreign0", interfaces);
    run("systemctl", &["start", "networking.service"]);
    let mut trace = Watch::start();
    run("systemctl", &["stop", "networking.service"]);
    trace.wait_for_event("down", "foreign0");
    trace
        .stop()
        .only("down", "foreign0")
        .by("ip")
        .verdict("ifupdown", "certain")
        .is("/culprit/unit", "networking.service")
        .says("/verdict/cause", "called by ifdown");
}
