use clap::ValueEnum as _;
use jiff::tz::{TimeZone, offset};

use super::*;
use crate::event::{Lost, Notice};
use crate::sink::fixtures::{self, Closed, HOSTILE, Writes, record};

fn look(width: Option<u16>) -> Look {
    Look { width, color: false, zone: Some(TimeZone::UTC), stack: false, stop_hint: true }
}

/// What the records add, one string a record.
fn shown(look: &Look, records: &[Record]) -> Vec<String> {
    let mut table = Table::new(Vec::new(), look.clone());
    let mut ends = vec![0];
    for record in records {
        table.record(record).unwrap();
        ends.push(table.out.len());
    }
    ends.windows(2).map(|ends| String::from_utf8(table.out[ends[0]..ends[1]].to_vec()).unwrap()).collect()
}

fn event_record(kind: EventKind, change: impl FnOnce(&mut Event)) -> Record {
    let mut event = fixtures::event(kind);
    change(&mut event);
    record(Body::Event(Box::new(event)))
}

#[test]
fn without_an_edge_an_event_is_one_line_under_one_header() {
    let shown = shown(&look(None), &[fixtures::deleted(), fixtures::deleted()]);
    assert_eq!(
        shown[0],
        "\
TIME          EVENT    LINK                 NETNS             PID  COMM             CGROUP                    WHY
01:02:03.123  deleted  macvlan0@eth0        web               812  ip               docker.service            ip (pid 812) asked for it.
"
    );
    assert_eq!(shown[1], shown[0].lines().nth(1).unwrap().to_owned() + "\n");
}

#[test]
fn on_a_narrow_terminal_the_cause_stands_under_its_row() {
    let shown = shown(
        &look(Some(80)),
        &[event_record(EventKind::Deleted, |event| {
            event.link.netns.name = None;
            event.verdict.cause =
                "The main process of the container, sh (pid 600), exited with code 0, and its network namespace \
                 ended with it."
                    .into();
        })],
    );
    assert_eq!(
        shown[0],
        "\
TIME          EVENT    LINK                 NETNS           PID  COMM
              CGROUP: WHY
01:02:03.123  deleted  macvlan0@eth0        4026532115      812  ip
              docker.service: The main process of the container, sh (pid 600),
              exited with code 0, and its network namespace ended with it.
"
    );
}

#[test]
fn on_a_wide_terminal_the_cause_wraps_within_its_column() {
    let cause = "because ".repeat(20);
    let shown = shown(
        &look(Some(160)),
        &[event_record(EventKind::Deleted, |event| event.verdict.cause = cause.trim().into())],
    );
    let lines: Vec<&str> = shown[0].lines().collect();
    let why = lines[0].find("WHY").unwrap();
    assert!(lines.len() > 3, "{}", shown[0]);
    for line in &lines[2..] {
        assert_eq!(line.find("because"), Some(why), "{}", shown[0]);
        assert!(line.len() <= 160, "{}", shown[0]);
    }
}

#[test]
fn the_longest_words_and_names_fit_their_columns() {
    for kind in EventKind::value_variants() {
        assert!(kind.as_str().len() <= usize::from(EVENT), "{kind:?} needs a wider column");
    }
    let records = [
        fixtures::deleted(),
        event_record(EventKind::Created, |event| {
            event.link.name = "macvlan0".into();
            event.culprit = Some(fixtures::task(4_194_304, "systemd-network"));
            event.link.netns.name = None;
        }),
        event_record(EventKind::Down, |event| event.culprit = None),
    ];
    for width in [None, Some(80), Some(120), Some(160), Some(300)] {
        let shown = shown(&look(width), &records);
        let header = shown[0].lines().next().unwrap();
        let rows: Vec<&str> =
            shown.iter().flat_map(|text| text.lines()).filter(|line| line.starts_with("01:")).collect();
        assert_eq!(rows.len(), 3, "{shown:?}");
        for (title, cells) in [
            ("EVENT", ["deleted", "created", "down"]),
            ("LINK", ["macvlan0@eth0"; 3]),
            ("NETNS", ["web", "4026532115", "web"]),
            ("COMM", ["ip", "systemd-network", "-"]),
        ] {
            let at = header.find(title).unwrap();
            for (row, cell) in rows.iter().zip(cells) {
                assert!(row[at..].starts_with(cell), "{title} of {row} under {header}");
            }
        }
        let end = header.find("PID").unwrap() + 3;
        for (row, cell) in rows.iter().zip(["812", "4194304", "-"]) {
            assert!(row[..end].ends_with(&format!(" {cell}")), "PID of {row} under {header}");
        }
    }
}

#[test]
fn nothing_fits_more_than_the_terminal_has() {
    for width in [66, 67, 79, 80, 81, 120, 159, 160, 161, 200] {
        let mut records = fixtures::records();
        records.extend(HOSTILE.iter().map(|name| fixtures::record_with_names(name)));
        for text in shown(&Look { stack: true, ..look(Some(width)) }, &records) {
            for line in text.lines().filter(|line| line.is_ascii()) {
                assert!(line.len() <= usize::from(width), "{width}: {line}");
            }
        }
    }
}

/// Whether a character does something other than to show itself.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[test]
fn hostile_names_do_not_steer_the_terminal() {
    for hostile in HOSTILE {
        for width in [None, Some(1), Some(40), Some(80), Some(160), Some(u16::MAX)] {
            let look = Look { stack: true, ..look(width) };
            let shown = shown(&look, &[fixtures::deleted(), fixtures::record_with_names(hostile)]);
            for c in shown[1].chars().filter(|&c| c != '\n') {
                assert!(!steers(c), "{:?}", shown[1]);
            }
            if width.is_none() {
                // The row, its remedy and its kernel path.
                assert_eq!(shown[1].lines().count(), 3, "{}", shown[1]);
            }
        }
    }
}

#[test]
fn a_closed_pipe_reaches_the_caller() {
    let error = Table::new(Closed, look(None)).record(&fixtures::deleted()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn each_record_is_one_write() {
    for record in fixtures::records() {
        let mut writes = Writes::default();
        Table::new(&mut writes, look(Some(80))).record(&record).unwrap();
        assert!(writes.only().ends_with('\n'));
    }
}

#[test]
fn a_remedy_is_shown_once_a_rule() {
    let advised = |rule: &str| {
        event_record(EventKind::Deleted, |event| {
            event.verdict.rule = rule.into();
            event.verdict.remedy = Some("Run a long-lived main process.".into());
        })
    };
    let shown =
        shown(&look(None), &[advised("container-exited"), advised("container-exited"), advised("direct")]);
    let line = "              → Run a long-lived main process.\n";
    assert!(shown[0].ends_with(line), "{}", shown[0]);
    assert!(!shown[1].contains('→'), "{}", shown[1]);
    assert!(shown[2].ends_with(line), "{}", shown[2]);
}

#[test]
fn the_kernel_path_wraps_under_its_row_when_asked_for() {
    let plain = shown(&look(Some(80)), &[fixtures::deleted()]);
    assert!(!plain[0].contains("rtnl_dellink"), "{}", plain[0]);
    let shown = shown(&Look { stack: true, ..look(Some(80)) }, &[fixtures::deleted()]);
    assert!(
        shown[0].ends_with(
            "
              ↳ unregister_netdevice_queue ← macvlan_dellink ← rtnl_dellink ←
                rtnetlink_rcv_msg
"
        ),
        "{}",
        shown[0]
    );
}

#[test]
fn what_breaks_a_link_has_a_colour_on_request() {
    let row = |kind, color| {
        shown(&Look { color, ..look(None) }, &[event_record(kind, |_| ())])[0]
            .lines()
            .nth(1)
            .unwrap()
            .to_owned()
    };
    assert!(row(EventKind::Down, true).starts_with("01:02:03.123  \x1b[33mdown\x1b[0m     macvlan0@eth0"));
    assert!(row(EventKind::Deleted, true).starts_with("01:02:03.123  \x1b[31mdeleted\x1b[0m  macvlan0@eth0"));
    assert_eq!(row(EventKind::Up, true), row(EventKind::Up, false));
    assert!(!row(EventKind::Deleted, false).contains('\x1b'));
}

#[test]
fn times_are_local_and_a_new_day_is_said() {
    let zone = Some(TimeZone::fixed(offset(-2)));
    let late = event_record(EventKind::Down, |event| event.when = fixtures::when(3600));
    let shown = shown(
        &Look { zone, ..look(None) },
        &[record(Body::Run(Box::new(fixtures::run()))), fixtures::deleted(), late],
    );
    assert!(shown[1].contains("\n23:02:03.123  deleted"), "{}", shown[1]);
    assert!(shown[2].starts_with("--- 2026-11-24 ---\n00:02:03.123  down"), "{}", shown[2]);
}

#[test]
fn an_unknown_zone_gives_utc_and_says_so() {
    let shown = shown(&Look { zone: None, ..look(None) }, &[fixtures::deleted()]);
    assert!(shown[0].starts_with("TIME UTC      EVENT"), "{}", shown[0]);
    assert!(shown[0].contains("\n01:02:03.123  deleted"), "{}", shown[0]);
}

#[test]
fn the_opening_stands_above_the_header() {
    let shown = shown(&look(Some(80)), &[record(Body::Run(Box::new(fixtures::run()))), fixtures::deleted()]);
    assert_eq!(
        shown[0],
        "\
Watching 2 macvlan links in 1 network namespace (1 already down: macvlan1@eth0
in netns web; how it came down is not known). Ctrl-C to stop.
"
    );
    assert!(shown[1].starts_with("TIME"), "{}", shown[1]);
}

#[test]
fn losses_and_what_nobody_announced_are_lines_of_their_own() {
    let mut unseen = fixtures::event(EventKind::Down);
    unseen.verdict.cause = "No probe saw who asked for it.".into();
    let shown = shown(
        &look(None),
        &[
            record(Body::Unattributed(Box::new(unseen))),
            record(Body::Lost(Lost { when: fixtures::when(1), records: 1, total: 34 })),
            record(Body::Notice(Notice {
                rule: None,
                incident: None,
                when: fixtures::when(2),
                message: "The clock was set.\x1b[m".into(),
            })),
        ],
    );
    assert_eq!(
        shown.concat(),
        "\
01:02:03.123  unattributed: macvlan0@eth0 in netns web went down. No probe saw who asked for it.
01:02:04.123  lost: 1 record (34 in this run) came faster than they could be read; events may be missing here.
01:02:05.123  note: The clock was set.\\u{1b}[m
"
    );
}

#[test]
fn the_ending_counts_events_by_culprit() {
    let shown = shown(&look(Some(80)), &[record(Body::Summary(Box::new(fixtures::summary())))]);
    assert_eq!(
        shown[0],
        "
3 events, 0 unattributed, 0 lost (1 more not shown)
 COUNT  EVENT        PID  COMM             CGROUP
     2  deleted      812  ip               docker.service
     1  down           -  -                -
"
    );
}

#[test]
fn an_ending_without_events_is_one_line() {
    let summary = Summary { events: 0, filtered: 0, culprits: Vec::new(), ..fixtures::summary() };
    let shown = shown(&look(None), &[record(Body::Summary(Box::new(summary)))]);
    assert_eq!(shown[0], "\n0 events, 0 unattributed, 0 lost\n");
}
