use clap::ValueEnum as _;
use jiff::tz::{TimeZone, offset};

use super::*;
use crate::event::{IncidentLink, Lost, Notice, Outcome};
use crate::sentence::{Part, Sentence, sentence};
use crate::sink::{Direct, Sink as _};
use crate::testing::records::{self, HOSTILE, Writes, record};

fn look(width: Option<u16>) -> Look {
    Look { width, color: false, zone: Some(TimeZone::UTC), stack: false, stop_hint: true }
}

/// What the records add, one string a record.
fn shown(look: &Look, records: &[Record]) -> Vec<String> {
    let mut table = Table::new(look.clone());
    let mut show = |record| {
        let mut out = Vec::new();
        table.write(record, &mut out);
        String::from_utf8(out).unwrap()
    };
    records.iter().map(&mut show).collect()
}

fn event_record(kind: EventKind, change: impl FnOnce(&mut Event)) -> Record {
    let mut event = records::event(kind);
    change(&mut event);
    record(Body::Event(Box::new(event)))
}

/// An event of an incident, of `macvlan0@eth0` or another link.
fn event_of(incident: u64, link: &str, cause: impl Into<Sentence>) -> Record {
    event_record(EventKind::Deleted, |event| {
        event.incident = incident;
        event.link.name = link.into();
        event.verdict.cause = cause.into();
    })
}

#[test]
fn without_an_edge_sentences_and_rows_are_one_line_each() {
    let shown = shown(&look(None), &[records::deleted(), records::deleted()]);
    assert_eq!(
        shown[0],
        "  TIME          EVENT            LINK                 NETNS       DETAILS

#1 direct: ip (PID 812), docker.service
  ip (pid 812) asked for it.
  01:02:03.123  deleted          macvlan0@eth0        web         -
"
    );
    assert_eq!(shown[1], "  01:02:03.123  deleted          macvlan0@eth0        web         -\n");
}

#[test]
fn on_a_narrow_terminal_the_cause_and_the_remedy_wrap_above_the_rows() {
    let shown = shown(
        &look(Some(80)),
        &[event_record(EventKind::Deleted, |event| {
            event.incident = 12;
            event.link.netns.name = None;
            event.victim.container = Some(records::container(Some("web")));
            event.verdict.confidence = crate::event::Confidence::Likely;
            event.verdict.rule = "container-exited".into();
            event.verdict.cause =
                "The main process of the container, sh (pid 600), exited with code 0, and its network namespace \
                 ended with it."
                    .into();
            event.verdict.remedy = Some(
                "Give the container a main process that stays, for example `exec sleep infinity`.".into(),
            );
        })],
    );
    assert_eq!(
        shown[0],
        "  TIME          EVENT            LINK                 NETNS       DETAILS

#12 container-exited, likely: ip (PID 812), docker.service
  The main process of the container, sh (pid 600), exited with code 0, and its
  network namespace ended with it.
  fix: Give the container a main process that stays, for example `exec sleep
       infinity`.
  01:02:03.123  deleted          macvlan0@eth0        4026532115  docker:web
"
    );
}

#[test]
fn on_a_wide_terminal_the_longest_names_fit_and_the_actor_stands_beside_them() {
    let shown = shown(
        &look(Some(120)),
        &[event_record(EventKind::AddressRemoved, |event| {
            event.link.name = "macvlan-of-web0".into();
            event.link.parent.as_mut().unwrap().name = "enp94s0f0np0abc".into();
            event.actor = Some(records::task(4_194_304, "systemd-network"));
        })],
    );
    assert_eq!(
        shown[0].lines().last(),
        Some(
            "  01:02:03.123  address_removed  macvlan-of-web0@enp94s0f0np0abc  web              by systemd-network (PID \
             4194304)"
        )
    );
}

#[test]
fn the_cause_of_many_victims_is_said_once() {
    let records: Vec<Record> = (0..2000)
        .map(|number| {
            let name = format!("macvlan{number}");
            let ip = Part::Process { comm: "ip".into(), pid: 812, command: None };
            let (parent, link) = (Part::Device("eth0".into()), Part::Link(name.as_str().into()));
            let cause = sentence!("{} removed the parent {} of {}, which went with it.", ip, parent, link);
            event_of(1, &name, cause)
        })
        .collect();
    for width in [None, Some(80), Some(160)] {
        let shown = shown(&look(width), &records);
        assert!(shown[0].contains("removed the parent eth0 of macvlan0,"), "{}", shown[0]);
        for (number, text) in shown.iter().enumerate().skip(1) {
            assert_eq!(text.lines().count(), 1, "{text}");
            assert!(text.contains(&format!("  macvlan{number}@eth0 ")), "{text}");
        }
    }
}

#[test]
fn incidents_that_take_turns_are_named_at_each_turn_and_explained_once() {
    let shown = shown(
        &look(Some(80)),
        &[
            event_of(1, "a", "Because."),
            event_of(2, "b", "So."),
            event_of(1, "c", "Because."),
            event_of(1, "d", "Now."),
        ],
    );
    let rest =
        |link: &str| format!("  01:02:03.123  deleted          {link}@eth0               web         -\n");
    assert_eq!(shown[1], format!("\n#2 direct: ip (PID 812), docker.service\n  So.\n{}", rest("b")));
    assert_eq!(shown[2], format!("\n#1 again, direct: ip (PID 812), docker.service\n{}", rest("c")));
    assert_eq!(shown[3], format!("\n#1 direct: ip (PID 812), docker.service\n  Now.\n{}", rest("d")));
}

/// The end of an incident.
fn settled(number: u64, change: impl FnOnce(&mut Incident)) -> Record {
    let mut incident = records::incident();
    (incident.incident, incident.recurrence) = (number, None);
    change(&mut incident);
    record(Body::Incident(Box::new(incident)))
}

#[test]
fn a_block_ends_with_what_became_of_its_links() {
    let shown =
        shown(&look(None), &[event_of(1, "a", "Because."), settled(1, |_| ()), event_of(1, "a", "Because.")]);
    assert_eq!(shown[1], "#1 in all: 2 events in 1.0 s; up again after 2.1 s; lost 192.0.2.7/24\n");
    assert!(shown[2].starts_with("\n#1 again, "), "{}", shown[2]);
}

#[test]
fn the_end_of_an_incident_stands_apart_if_the_block_of_another_is_open() {
    let shown = shown(
        &look(None),
        &[
            event_of(1, "a", "Because."),
            event_of(2, "b", "So."),
            settled(1, |incident| incident.verdict.remedy = Some("Add it again.".into())),
            event_of(2, "c", "So."),
        ],
    );
    assert!(shown[2].starts_with("\n#1 in all: "), "{}", shown[2]);
    assert!(
        shown[2].ends_with("\n  fix: Add it again.\n"),
        "what to do is another thing by now: {}",
        shown[2]
    );
    assert!(shown[3].starts_with("\n#2 again, "), "{}", shown[3]);
}

#[test]
fn an_incident_of_which_nothing_was_shown_has_its_heading() {
    let shown = shown(&look(None), &[settled(3, |_| ())]);
    assert_eq!(
        shown[0],
        "\n#3 direct: ip (PID 812), docker.service\n  ip (pid 812) asked for it.\n#3 in all: 2 events in 1.0 s; up again \
         after 2.1 s; lost 192.0.2.7/24\n"
    );
}

#[test]
fn what_became_of_many_links_is_counted() {
    let many = settled(1, |incident| {
        let link = incident.links.remove(0);
        let outcomes = [Outcome::Broken, Outcome::Gone, Outcome::Gone, Outcome::UpAgain];
        incident.links = outcomes
            .map(|outcome| IncidentLink {
                outcome,
                up_again_ns: (outcome == Outcome::UpAgain).then_some(12_000_000),
                lost_addresses: Vec::new(),
                ..link.clone()
            })
            .to_vec();
        (incident.link_count, incident.events) = (4, 5);
    });
    let shown = shown(&look(None), &[event_of(1, "a", "Because."), many]);
    assert_eq!(
        shown[1],
        "#1 in all: 4 links, 5 events in 1.0 s; 1 up again after 12 ms, 1 still broken, 2 gone\n"
    );
}

#[test]
fn the_longest_words_and_names_fit_their_columns() {
    for kind in EventKind::value_variants() {
        assert!(kind.as_str().len() <= usize::from(EVENT), "{kind:?} needs a wider column");
    }
    let records = [
        records::deleted(),
        event_record(EventKind::AddressRemoved, |event| {
            event.link.parent.as_mut().unwrap().name = "enp3s0f1".into();
            event.link.netns.name = None;
            event.victim.container = Some(records::container(Some("web")));
        }),
        event_record(EventKind::Down, |event| event.link.netns.inode = None),
    ];
    for width in [None, Some(80), Some(120), Some(160), Some(300)] {
        let shown = shown(&look(width), &records);
        let titles = shown[0].lines().next().unwrap();
        let rows: Vec<&str> =
            shown.iter().flat_map(|text| text.lines()).filter(|line| line.starts_with("  01:")).collect();
        assert_eq!(rows.len(), 3, "{shown:?}");
        for (title, cells) in [
            ("EVENT", ["deleted", "address_removed", "down"]),
            ("LINK", ["macvlan0@eth0", "macvlan0@enp3s0f1", "macvlan0@eth0"]),
            ("NETNS", ["web", "4026532115", "web"]),
            ("DETAILS", ["-", "docker:web", "-"]),
        ] {
            let at = titles.find(title).unwrap();
            for (row, cell) in rows.iter().zip(cells) {
                assert!(row[at..].starts_with(cell), "{title} of {row} under {titles}");
            }
        }
    }
}

#[test]
fn nothing_fits_more_than_the_terminal_has() {
    for width in [66, 67, 79, 80, 81, 120, 159, 160, 161, 200] {
        let mut records = records::records();
        records.extend(HOSTILE.iter().map(|name| records::record_with_names(name)));
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
            let shown = shown(&look, &[records::deleted(), records::record_with_names(hostile)]);
            for c in shown[1].chars().filter(|&c| c != '\n') {
                assert!(!steers(c), "{:?}", shown[1]);
            }
            if width.is_none() {
                // A blank, the incident, its cause and remedy, the row and its kernel path.
                assert_eq!(shown[1].lines().count(), 6, "{}", shown[1]);
            }
        }
    }
}

#[test]
fn each_record_is_one_write() {
    for record in records::records() {
        let mut writes = Writes::default();
        Direct::new(Box::new(Table::new(look(Some(80)))), &mut writes).record(record.clone()).unwrap();
        assert!(writes.only().ends_with('\n'));
    }
}

#[test]
fn a_remedy_is_shown_once_an_incident() {
    let advised = |incident, cause: &'static str| {
        event_record(EventKind::Deleted, |event| {
            event.incident = incident;
            event.verdict.cause = cause.into();
            event.verdict.remedy = Some("Run a long-lived main process.".into());
        })
    };
    let shown =
        shown(&look(None), &[advised(1, "It ended."), advised(1, "It left."), advised(2, "It ended.")]);
    let line = "\n  fix: Run a long-lived main process.\n";
    assert!(shown[0].contains(line), "{}", shown[0]);
    assert!(shown[1].contains("It left.") && !shown[1].contains("fix:"), "{}", shown[1]);
    assert!(shown[2].contains(line), "{}", shown[2]);
}

#[test]
fn the_kernel_path_wraps_under_its_row_when_asked_for() {
    let plain = shown(&look(Some(80)), &[records::deleted()]);
    assert!(!plain[0].contains("rtnl_dellink"), "{}", plain[0]);
    let shown = shown(&Look { stack: true, ..look(Some(80)) }, &[records::deleted()]);
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
fn incidents_and_what_breaks_a_link_stand_out_on_request() {
    let lines = |kind, color| {
        let shown = shown(&Look { color, ..look(None) }, &[event_record(kind, |_| ())]);
        let mut lines = shown[0].lines().filter(|line| line.contains("PID 812)") || line.contains("01:"));
        (lines.next().unwrap().to_owned(), lines.next_back().unwrap().to_owned())
    };
    let (incident, row) = lines(EventKind::Down, true);
    assert_eq!(incident, "\x1b[1m#1 direct: ip (PID 812), docker.service\x1b[0m");
    assert!(row.starts_with("  01:02:03.123  \x1b[33mdown\x1b[0m             macvlan0@eth0"), "{row}");
    assert!(lines(EventKind::Deleted, true).1.contains("\x1b[31mdeleted\x1b[0m          macvlan0@eth0"));
    for kind in EventKind::value_variants() {
        assert_eq!(lines(*kind, true).1.contains('\x1b'), kind.breaks(), "{kind:?}");
        assert!(!lines(*kind, false).1.contains('\x1b'), "{kind:?}");
    }
}

#[test]
fn times_are_local_and_a_new_day_is_said() {
    let zone = Some(TimeZone::fixed(offset(-2)));
    let late = event_record(EventKind::Down, |event| event.when = records::when(3600));
    let shown = shown(
        &Look { zone, ..look(None) },
        &[record(Body::Run(Box::new(records::run()))), records::deleted(), late],
    );
    assert!(shown[1].contains("\n  23:02:03.123  deleted"), "{}", shown[1]);
    assert!(shown[2].starts_with("--- 2026-11-24 ---\n  00:02:03.123  down"), "{}", shown[2]);
}

#[test]
fn an_unknown_zone_gives_utc_and_says_so() {
    let shown = shown(&Look { zone: None, ..look(None) }, &[records::deleted()]);
    assert!(shown[0].starts_with("  TIME UTC      EVENT"), "{}", shown[0]);
    assert!(shown[0].contains("\n  01:02:03.123  deleted"), "{}", shown[0]);
}

#[test]
fn the_opening_stands_above_the_header() {
    let shown = shown(&look(Some(80)), &[record(Body::Run(Box::new(records::run()))), records::deleted()]);
    assert_eq!(
        shown[0],
        "\
Watching 2 macvlan links in 1 network namespace (1 already down: macvlan1@eth0
in netns web; how it came down is not known). Ctrl-C to stop.
"
    );
    assert!(shown[1].starts_with("  TIME"), "{}", shown[1]);
}

#[test]
fn losses_and_remarks_are_lines_of_their_own() {
    let shown = shown(
        &look(None),
        &[
            record(Body::Lost(Lost { when: records::when(1), records: 1, total: 34 })),
            record(Body::Notice(Notice {
                rule: None,
                incident: None,
                when: records::when(2),
                message: "The clock was set.\x1b[m".into(),
            })),
        ],
    );
    assert_eq!(
        shown.concat(),
        "\
01:02:04.123  lost: 1 record (34 in this run) came faster than they could be read; events may be missing here.
01:02:05.123  note: The clock was set.\\u{1b}[m
"
    );
}

#[test]
fn what_nobody_announced_is_an_incident_like_any_other() {
    let mut unseen = records::event(EventKind::Down);
    (unseen.culprit, unseen.verdict.rule) = (None, "unattributed".into());
    unseen.verdict.confidence = crate::event::Confidence::Unknown;
    unseen.verdict.cause = "No probe saw who asked for it.".into();
    let shown = shown(&look(Some(80)), &[record(Body::Unattributed(Box::new(unseen)))]);
    assert!(
        shown[0].ends_with(
            "
#1 unattributed: culprit unknown
  No probe saw who asked for it.
  01:02:03.123  down             macvlan0@eth0        web         -
"
        ),
        "{}",
        shown[0]
    );
}

#[test]
fn the_ending_counts_events_by_culprit() {
    let shown = shown(&look(Some(80)), &[record(Body::Summary(Box::new(records::summary())))]);
    assert_eq!(
        shown[0],
        "
3 events, 0 unattributed, 0 lost (1 more not shown)
 COUNT  EVENT                PID  COMM             CGROUP
     2  deleted              812  ip               docker.service
     1  down                   -  -                -
"
    );
}

#[test]
fn an_ending_without_events_is_one_line() {
    let summary = Summary { events: 0, filtered: 0, culprits: Vec::new(), ..records::summary() };
    let shown = shown(&look(None), &[record(Body::Summary(Box::new(summary)))]);
    assert_eq!(shown[0], "\n0 events, 0 unattributed, 0 lost\n");
}
