//! The words of the table: cells and sentences, safe for a terminal.

use std::fmt::Display;

use crate::event::{
    Confidence, Container, Event, EventKind, Incident, Lost, Netns, Notice, Omitted, Outcome, Parent,
    Recurrence, Run, StockLink, Summary, Task, Verdict,
};
use crate::sentence::Period;
use crate::text::Text;

/// Shown for an unknown value.
pub(super) const UNKNOWN: &str = "-";

/// How many links the opening line names.
const NAMED: usize = 5;

/// How much of a container's id is shown.
const SHORT_ID: usize = 12;

/// Makes a sentence or a name safe that may contain text that a process chose.
pub(super) fn safe(text: &(impl ToString + ?Sized)) -> String {
    Text::from(text.to_string().into_bytes()).to_string()
}

/// A known value, or [`UNKNOWN`].
pub(super) fn known<T: Display>(value: Option<T>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| value.to_string())
}

/// `macvlan0@eth0`.
pub(super) fn link(name: &Text, parent: Option<&Parent>) -> String {
    match parent {
        Some(parent) => format!("{name}@{}", parent.name),
        None => name.to_string(),
    }
}

/// The namespace's name, or its inode number.
pub(super) fn netns(netns: &Netns) -> String {
    netns.name.as_ref().map_or_else(|| known(netns.inode), Text::to_string)
}

/// Where a task runs: its container, its unit, or its cgroup.
pub(super) fn place(task: &Task) -> String {
    match &task.container {
        Some(container) => container_name(container),
        None => known(task.unit.as_ref().or(task.cgroup.path.as_ref())),
    }
}

/// `docker:web`.
fn container_name(container: &Container) -> String {
    let short = || container.id.chars().take(SHORT_ID).collect();
    let name = container.name.clone().unwrap_or_else(short);
    let runtime = container.runtime.as_deref().unwrap_or("container");
    safe(&format!("{runtime}:{name}"))
}

/// `container-killed, likely: kill (PID 900), ssh.service`: the rule, who is responsible, and how sure that is.
pub(super) fn incident(verdict: &Verdict, culprit: Option<&Task>, width: u16) -> String {
    let mut words = safe(&verdict.rule);
    words.push_str(match (verdict.confidence, culprit) {
        (Confidence::Certain, _) => "",
        (Confidence::Likely, _) => ", likely",
        (Confidence::Unknown, Some(_)) => ", uncertain",
        // Shown below, in place of the culprit.
        (Confidence::Unknown, None) => "",
    });
    words.push_str(": ");
    match culprit {
        Some(task) => {
            words.push_str(&process(task));
            let place = place(task);
            if place != UNKNOWN {
                words.push_str(", ");
                words.push_str(&keep_end(&place, width));
            }
        }
        None if verdict.confidence == Confidence::Unknown => words.push_str("culprit unknown"),
        None => words.push_str("nobody is blamed"),
    }
    words
}

/// `2 links, 5 events in 1.2 s; 1 up again after 3.1 s, 1 gone`: what became of an incident's links.
pub(super) fn outcome(incident: &Incident) -> String {
    let mut parts = Vec::new();
    if incident.link_count > 1 || incident.events > 1 {
        let links = if incident.link_count > 1 {
            count(incident.link_count, "link", "links") + ", "
        } else {
            String::new()
        };
        let took = incident.last.boot_ns.saturating_sub(incident.first.boot_ns);
        parts.push(format!("{links}{} in {}", count(incident.events, "event", "events"), Period(took)));
    }
    let mut fates = Vec::new();
    for (outcome, words) in [
        (Outcome::UpAgain, "up again"),
        (Outcome::Broken, "still broken"),
        (Outcome::Gone, "gone"),
        (Outcome::Intact, "unbroken"),
    ] {
        let links: Vec<_> = incident.links.iter().filter(|link| link.outcome == outcome).collect();
        if links.is_empty() {
            continue;
        }
        let number = if incident.link_count > 1 { format!("{} ", links.len()) } else { String::new() };
        let after = links.iter().filter_map(|link| link.up_again_ns).max();
        let after = after.map_or_else(String::new, |ns| format!(" after {}", Period(ns)));
        fates.push(format!("{number}{words}{after}"));
    }
    parts.push(fates.join(", "));
    let lost: Vec<_> =
        incident.links.iter().flat_map(|link| &link.lost_addresses).map(String::as_str).collect();
    if !lost.is_empty() {
        let more = lost.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        parts.push(format!("lost {}{more}", lost[..lost.len().min(NAMED)].join(", ")));
    }
    parts.join("; ")
}

/// `like #4, the 3rd time in 11.5 s, `.
pub(super) fn recurrence(recurrence: &Recurrence) -> String {
    let Recurrence { count, first_incident, since_ns } = recurrence;
    let ordinal = match (count % 10, count % 100) {
        (1, tens) if tens != 11 => "st",
        (2, tens) if tens != 12 => "nd",
        (3, tens) if tens != 13 => "rd",
        _ => "th",
    };
    format!("like #{first_incident}, the {count}{ordinal} time in {}, ", Period(*since_ns))
}

/// `ip (PID 812)`.
fn process(task: &Task) -> String {
    format!("{} (PID {})", task.comm, task.pid)
}

/// The last column: the victim, details of the change, and, if there is room, the actor if it is not the culprit.
pub(super) fn details(event: &Event, width: u16, with_actor: bool) -> String {
    let mut details = Vec::new();
    if let Some(container) = &event.victim.container {
        details.push(keep_end(&container_name(container), width));
    }
    match (event.event, event.link.former_names.last(), &event.to) {
        (EventKind::Renamed, Some(former), _) => details.push(format!("was {former}")),
        (EventKind::Moved, _, Some(to)) => {
            let place = to.container.as_ref().map_or_else(|| netns(&to.netns), container_name);
            details.push(format!("to {}", keep_end(&place, width)));
        }
        _ => {}
    }
    // If nobody is blamed, the current task may have had nothing to do with it; the cause says what is known.
    let is_blamed = event.verdict.confidence != Confidence::Unknown;
    let actor = event.actor.as_ref().filter(|_| with_actor && is_blamed);
    let is_culprit = |actor: &Task| {
        event
            .culprit
            .as_ref()
            .is_some_and(|task| task.pid == actor.pid && task.start_boot_ns == actor.start_boot_ns)
    };
    if let Some(actor) = actor.filter(|actor| !is_culprit(actor)) {
        details.push(format!("by {}", process(actor)));
    }
    if details.is_empty() { UNKNOWN.to_owned() } else { details.join(", ") }
}

/// At most `width` characters; the end stays, since that is where paths differ.
pub(super) fn keep_end(text: &str, width: u16) -> String {
    let width = usize::from(width);
    let count = text.chars().count();
    if count <= width {
        return text.to_owned();
    }
    let end: String = text.chars().skip(count + 1 - width.max(1)).collect();
    format!("…{end}")
}

/// At most `width` characters; the beginning stays.
pub(super) fn keep_start(text: &str, width: u16) -> String {
    let width = usize::from(width);
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let start: String = text.chars().take(width.max(1) - 1).collect();
    format!("{start}…")
}

/// `1 link`, `2 links`.
fn count(number: impl TryInto<u64>, one: &str, many: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{number} {}", if number == 1 { one } else { many })
}

/// The opening lines: the watched links, and what this run cannot see.
pub(super) fn opening(run: &Run, stop_hint: bool) -> Vec<String> {
    let stock = &run.stock;
    let mut first = if stock.links == 0 {
        let kinds = listed(&run.kinds, "or");
        format!("No {kinds} link exists yet; watching every network namespace for new ones.")
    } else {
        format!(
            "Watching {} in {}{}.",
            links(&run.kinds, &stock.watched, stock.links),
            count(stock.namespaces, "network namespace", "network namespaces"),
            already_down(&stock.watched),
        )
    };
    if stop_hint {
        first.push_str(" Ctrl-C to stop.");
    }
    let mut lines = vec![first];
    if stock.unseen_namespaces > 0 {
        lines.push(format!(
            "{} could not be looked into: links that are there already show once something happens to them.",
            count(stock.unseen_namespaces, "network namespace", "network namespaces"),
        ));
    }
    lines.extend(run.degraded.iter().map(|sentence| format!("Degraded: {}", safe(sentence))));
    lines
}

/// `3 macvlan links`, `2 macvlan and macvtap links`.
fn links(kinds: &[&str], watched: &[StockLink], links: usize) -> String {
    let is_there = |kind: &&&str| watched.iter().any(|link| link.kind.as_bytes() == kind.as_bytes());
    let there: Vec<&str> = kinds.iter().filter(is_there).copied().collect();
    let there = listed(&there, "and");
    count(links, &format!("{there} link"), &format!("{there} links"))
}

/// `macvlan, macvtap or ipvlan`.
fn listed(words: &[&str], last: &str) -> String {
    match words {
        [first @ .., one] if !first.is_empty() => format!("{} {last} {one}", first.join(", ")),
        _ => words.concat(),
    }
}

/// ` (1 already down: macvlan0@eth0 in netns web; how it came down is not known)`, or nothing.
fn already_down(watched: &[StockLink]) -> String {
    let down: Vec<String> = watched
        .iter()
        .filter(|stock| !stock.up)
        .map(|stock| format!("{} in netns {}", link(&stock.name, stock.parent.as_ref()), netns(&stock.netns)))
        .collect();
    if down.is_empty() {
        return String::new();
    }
    let named = down[..down.len().min(NAMED)].join(", ");
    let more = match down.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let they = if down.len() == 1 { "it" } else { "they" };
    format!(" ({} already down: {named}{more}; how {they} came down is not known)", down.len())
}

/// The line for records that the kernel could not hand over.
pub(super) fn lost(lost: &Lost) -> String {
    format!(
        "lost: {} ({} in this run) came faster than they could be read; events may be missing here.",
        count(lost.records, "record", "records"),
        lost.total,
    )
}

/// The line for records that this output left out.
pub(super) fn omitted(omitted: &Omitted) -> String {
    let events = count(omitted.events + omitted.unattributed, "event was", "events were");
    format!("omitted: {events} not shown here, since this output was not read in time.")
}

/// A remark.
pub(super) fn notice(notice: &Notice) -> String {
    format!("note: {}", safe(&notice.message))
}

/// `12 events, 0 unattributed, 0 lost`.
pub(super) fn totals(summary: &Summary) -> String {
    let filtered = match summary.filtered {
        0 => String::new(),
        filtered => format!(" ({filtered} more not shown)"),
    };
    format!(
        "{}, {} unattributed, {} lost{filtered}",
        count(summary.events, "event", "events"),
        summary.unattributed,
        summary.lost,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::records;

    #[test]
    fn the_opening_says_what_is_watched_and_what_is_down_already() {
        let mut run = records::run();
        assert_eq!(
            opening(&run, true),
            [
                "Watching 2 macvlan links in 1 network namespace (1 already down: macvlan1@eth0 in netns web; how it \
                 came down is not known). Ctrl-C to stop."
            ]
        );
        run.stock.watched.iter_mut().for_each(|link| link.up = true);
        assert_eq!(opening(&run, false), ["Watching 2 macvlan links in 1 network namespace."]);
    }

    #[test]
    fn the_opening_names_a_few_of_many() {
        let mut run = records::run();
        let down = run.stock.watched.remove(1);
        run.stock.watched = vec![down; 7];
        run.stock.watched[0].kind = "macvtap".into();
        run.stock.links = 7;
        run.stock.namespaces = 3;
        let said = opening(&run, false).remove(0);
        assert!(
            said.starts_with("Watching 7 macvlan and macvtap links in 3 network namespaces (7 already"),
            "{said}"
        );
        assert!(said.ends_with(" and 2 more; how they came down is not known)."), "{said}");
        assert_eq!(said.matches("macvlan1@eth0").count(), NAMED, "{said}");
    }

    #[test]
    fn the_opening_admits_what_it_cannot_see() {
        let mut run = records::run();
        run.stock = crate::event::Stock { unseen_namespaces: 1, ..Default::default() };
        run.degraded = vec!["Senders of signals are not seen\x1b[m.".into()];
        assert_eq!(
            opening(&run, true),
            [
                "No macvlan or macvtap link exists yet; watching every network namespace for new ones. Ctrl-C to stop.",
                "1 network namespace could not be looked into: links that are there already show once something \
                 happens to them.",
                "Degraded: Senders of signals are not seen\\u{1b}[m.",
            ]
        );
    }

    #[test]
    fn a_task_is_placed_by_container_then_unit_then_cgroup() {
        let mut task = records::task(812, "ip");
        task.container = Some(records::container(Some("web")));
        assert_eq!(place(&task), "docker:web");
        task.container = Some(records::container(None));
        assert_eq!(place(&task), "docker:9f3c1a2b4d5e");
        task.container = None;
        assert_eq!(place(&task), "docker.service");
        task.unit = None;
        assert_eq!(place(&task), "/system.slice/docker.service");
        task.cgroup.path = None;
        assert_eq!(place(&task), "-");
    }

    #[test]
    fn an_incident_is_named_by_its_rule_its_culprit_and_how_sure_that_is() {
        let of = |event: &Event, width| incident(&event.verdict, event.culprit.as_ref(), width);
        let mut event = records::event(EventKind::Down);
        assert_eq!(of(&event, 40), "direct: ip (PID 812), docker.service");
        assert_eq!(of(&event, 8), "direct: ip (PID 812), …service");
        event.verdict.confidence = Confidence::Likely;
        assert_eq!(of(&event, 40), "direct, likely: ip (PID 812), docker.service");
        event.verdict.confidence = Confidence::Unknown;
        assert_eq!(of(&event, 40), "direct, uncertain: ip (PID 812), docker.service");
        event.culprit = None;
        assert_eq!(of(&event, 40), "direct: culprit unknown");
        event.verdict.confidence = Confidence::Likely;
        assert_eq!(of(&event, 40), "direct, likely: nobody is blamed");
        event.verdict.confidence = Confidence::Certain;
        assert_eq!(of(&event, 40), "direct: nobody is blamed");
    }

    #[test]
    fn what_comes_again_is_counted() {
        let said = |count| recurrence(&Recurrence { count, first_incident: 4, since_ns: 11_500_000_000 });
        assert_eq!(said(2), "like #4, the 2nd time in 11.5 s, ");
        for (count, ordinal) in
            [(3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (21, "21st"), (113, "113th")]
        {
            assert!(said(count).contains(&format!("the {ordinal} time")), "{}", said(count));
        }
    }

    #[test]
    fn details_say_whose_link_it_was_what_became_of_it_and_who_else_had_a_hand_in_it() {
        let mut event = records::event(EventKind::Deleted);
        assert_eq!(details(&event, 40, true), "-");
        event.victim.container = Some(records::container(Some("web")));
        event.link.former_names = vec!["eth1".into(), "eth0".into()];
        assert_eq!(details(&event, 40, true), "docker:web");
        assert_eq!(details(&event, 6, true), "…r:web");
        event.actor = Some(records::task(700, "dockerd"));
        assert_eq!(details(&event, 40, true), "docker:web, by dockerd (PID 700)");
        assert_eq!(details(&event, 40, false), "docker:web");
        event.verdict.confidence = Confidence::Unknown;
        assert_eq!(details(&event, 40, true), "docker:web");
        event.event = EventKind::Renamed;
        assert_eq!(details(&event, 40, false), "docker:web, was eth0");
        event.event = EventKind::Moved;
        event.victim.container = None;
        event.to = Some(records::destination());
        assert_eq!(details(&event, 40, false), "to docker:db");
        event.to.as_mut().unwrap().container = None;
        assert_eq!(details(&event, 40, false), "to db");
    }

    #[test]
    fn long_paths_lose_their_beginning_and_long_names_their_end() {
        assert_eq!(keep_end("/system.slice/docker.service", 15), "…docker.service");
        assert_eq!(keep_end("/a", 15), "/a");
        assert_eq!(keep_start("cni-5d8a3c1e", 10), "cni-5d8a3…");
        assert_eq!(keep_end("日本語", 2), "…語");
    }

    #[test]
    fn totals_count_in_plain_words() {
        let mut summary = records::summary();
        assert_eq!(totals(&summary), "3 events, 0 unattributed, 0 lost (1 more not shown)");
        (summary.events, summary.filtered) = (1, 0);
        assert_eq!(totals(&summary), "1 event, 0 unattributed, 0 lost");
    }
}
