//! Many at once.

use std::io::Write as _;

use crate::harness::{Parent, Trace, ip, ip_path};

#[test]
fn two_thousand_deletions_by_group_are_all_told() {
    let _parent = Parent::dummy("par0");
    let mut ip_batch = std::process::Command::new(ip_path())
        .args(["-batch", "-"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("ip runs");
    {
        let mut stdin = ip_batch.stdin.take().expect("it has a stdin");
        for n in 0..2000 {
            writeln!(stdin, "link add mv{n} link par0 group 77 type macvlan").expect("ip reads");
        }
    }
    assert!(ip_batch.wait().expect("ip ends").success());
    let trace = Trace::start(&[]);
    ip("link del group 77");
    let stream = trace.stop();
    stream.complete();
    assert_eq!(stream.events().len(), 2000, "the summary: {}", stream.summary());
    assert!(stream.events().iter().all(|event| {
        event["event"] == "deleted" && event["culprit"]["comm"] == "ip" && event["culprit"]["args"][4] == "77"
    }));
    let names: std::collections::HashSet<_> =
        stream.events().iter().map(|event| event["link"]["name"].to_string()).collect();
    assert_eq!(names.len(), 2000);
}
