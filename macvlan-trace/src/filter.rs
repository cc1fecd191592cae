//! Which events are shown. Filters act on finished events, so a hidden event can still explain others.

use glob::Pattern;

use crate::event::{Container, Event, EventKind, Netns, Parent, Task};
use crate::kernel::kinds::{self, LinkKind};
use crate::text::Text;

/// Values of one kind are alternatives; all kinds must match; a kind without values matches everything.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// What happened.
    pub events: Vec<EventChoice>,
    /// Links by name.
    pub ifaces: Vec<IfaceGlob>,
    /// Kinds of links.
    pub kinds: Vec<KindChoice>,
    /// Where the link is, or moves to.
    pub netns: Vec<NetnsChoice>,
    /// Process id of actor or culprit.
    pub pids: Vec<u32>,
    /// Name of actor or culprit.
    pub comms: Vec<Text>,
    /// Control group of actor or culprit.
    pub cgroups: Vec<CgroupGlob>,
    /// The container that lost the link, one that shares its network namespace, or the one that it moves to.
    pub containers: Vec<Pattern>,
}

/// Which kinds of links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KindChoice {
    /// Every one that is traced.
    All,
    /// Links of one kind.
    One(&'static LinkKind),
}

/// Which events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventChoice {
    /// Every one.
    All,
    /// Those that break a link, and requests for one that failed.
    Breaking,
    /// Those of one kind.
    One(EventKind),
}

/// A pattern for names of links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IfaceGlob {
    /// The pattern.
    pub pattern: Pattern,
    /// Whether it asks for `NAME@PARENT`, as the table shows a link.
    pub with_parent: bool,
}

/// A pattern for control groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupGlob {
    /// The pattern.
    pub pattern: Pattern,
    /// Whether it is for a path from the root; otherwise it is for one name of it.
    pub whole_path: bool,
}

/// A network namespace that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetnsChoice {
    /// Its inode number when the run began; `None` if only the name is known, as in a replay.
    pub inode: Option<u32>,
    /// Its name, if the user gave a name: a later namespace may have it as well.
    pub name: Option<Text>,
}

impl Filter {
    /// Whether an event is shown.
    #[must_use]
    pub fn shows(&self, event: &Event) -> bool {
        self.wants_link(event) && self.wants_task(event)
    }

    /// Whether an unattributed effect is shown. The responsible process is not known, so filters for processes do not
    /// hide it.
    #[must_use]
    pub fn shows_unattributed(&self, event: &Event) -> bool {
        self.wants_link(event)
    }

    /// The words of the kinds of links that are shown.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        let wanted = |kind: &&LinkKind| any(&self.kinds, |choice| choice.is(kind));
        kinds::all().iter().filter(wanted).map(|kind| kind.word)
    }

    /// Whether links of a kind are shown. A link whose kind could not be read may be of any.
    #[must_use]
    pub fn wants_kind(&self, kind: Option<&Text>) -> bool {
        kind.and_then(|kind| kinds::of(kind.as_bytes()))
            .is_none_or(|kind| any(&self.kinds, |choice| choice.is(kind)))
    }

    fn wants_link(&self, event: &Event) -> bool {
        let link = &event.link;
        any(&self.events, |&choice| match choice {
            EventChoice::All => true,
            EventChoice::Breaking => event.breaks,
            // What usually breaks a link and does not here is part of another event.
            EventChoice::One(kind) => kind == event.event && (event.breaks || !kind.breaks()),
        }) && self.wants_kind(link.kind.as_ref())
            && any(&self.ifaces, |glob| {
                let arrived = event.to.as_ref().map(|to| &to.name);
                let mut names = link.former_names.iter().chain([&link.name]).chain(arrived);
                names.any(|name| glob.matches(name, link.parent.as_ref()))
            })
            && any(&self.netns, |choice| {
                choice.is(&link.netns) || event.to.as_ref().is_some_and(|to| choice.is(&to.netns))
            })
            && any(&self.containers, |glob| {
                let arrived = event.to.as_ref().and_then(|to| to.container.as_ref());
                let mut all = event.victim.container.iter().chain(&event.victim.shared_with).chain(arrived);
                all.any(|container| is_called(container, glob))
            })
    }

    /// Whether one task, actor or culprit, matches all filters for processes.
    fn wants_task(&self, event: &Event) -> bool {
        let wanted = |task: &Task| {
            any(&self.pids, |&pid| pid == task.pid)
                && any(&self.comms, |comm| *comm == task.comm)
                && any(&self.cgroups, |glob| task.cgroup.path.as_ref().is_some_and(|path| glob.matches(path)))
        };
        let all = self.pids.is_empty() && self.comms.is_empty() && self.cgroups.is_empty();
        all || event.actor.iter().chain(&event.culprit).any(wanted)
    }
}

/// Whether one of the choices holds, or there are none.
fn any<T>(choices: &[T], holds: impl FnMut(&T) -> bool) -> bool {
    choices.is_empty() || choices.iter().any(holds)
}

impl KindChoice {
    fn is(self, kind: &LinkKind) -> bool {
        match self {
            Self::All => true,
            Self::One(one) => one == kind,
        }
    }
}

impl IfaceGlob {
    fn matches(&self, name: &Text, parent: Option<&Parent>) -> bool {
        let name = name.to_lossy();
        self.pattern.matches(&name)
            || self.with_parent
                && parent
                    .is_some_and(|parent| self.pattern.matches(&format!("{name}@{}", parent.name.to_lossy())))
    }
}

impl CgroupGlob {
    /// Whether the path, a path above it or a name in it matches.
    fn matches(&self, path: &Text) -> bool {
        let path = path.to_lossy();
        if !self.whole_path {
            return path.split('/').any(|name| !name.is_empty() && self.pattern.matches(name));
        }
        let above = path.match_indices('/').map(|(at, _)| if at == 0 { "/" } else { &path[..at] });
        above.chain([&*path]).any(|path| self.pattern.matches(path))
    }
}

/// How long a generated id is; shorter ones are names.
const LONG_ID: usize = 64;

/// Whether the name of a container or of its pod, or the beginning of its id, matches.
fn is_called(container: &Container, asked: &Pattern) -> bool {
    let pod = container.pod.as_ref().and_then(|pod| pod.name.as_ref());
    let mut names = container.name.iter().chain(pod).chain([&container.id]);
    names.any(|name| asked.matches(name))
        || container.id.len() == LONG_ID && container.id.starts_with(asked.as_str())
}

impl NetnsChoice {
    pub(crate) fn is(&self, netns: &Netns) -> bool {
        self.inode.is_some() && netns.inode == self.inode || self.name.is_some() && self.name == netns.name
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::cli::Cli;
    use crate::event::{Destination, EventKind, Pod};
    use crate::testing::records;

    /// The filter of a command line, as far as it does not need the machine.
    fn filter(args: &[&str]) -> Filter {
        let args = ["macvlan-trace"].iter().chain(args).map(OsString::from);
        let asked = Cli::from_args(args).unwrap().view.filter;
        let by_number =
            |netns: &OsString| NetnsChoice { inode: netns.to_str()?.parse().ok(), name: None }.into();
        asked.filter(asked.netns.iter().filter_map(by_number).collect())
    }

    fn shows(args: &[&str], change: impl FnOnce(&mut Event)) -> bool {
        let mut event = records::event(EventKind::Deleted);
        change(&mut event);
        filter(args).shows(&event)
    }

    fn same(_: &mut Event) {}

    #[test]
    fn unless_told_otherwise_what_breaks_a_link_is_shown() {
        for kind in <EventKind as clap::ValueEnum>::value_variants() {
            let event = records::event(*kind);
            assert_eq!(filter(&[]).shows(&event), kind.breaks(), "{kind:?}");
            assert!(filter(&["-e", "all"]).shows(&event), "{kind:?}");
        }
        assert!(!shows(&["-e", "up,moved"], same));
        assert!(shows(&["-e", "up", "-e", "deleted"], same));
    }

    #[test]
    fn a_link_is_found_by_any_name_that_it_ever_had() {
        assert!(shows(&["-i", "macvlan0"], same));
        assert!(shows(&["-i", "mac*", "-i", "x"], same));
        assert!(!shows(&["-i", "eth*"], same));
        assert!(shows(&["-i", "eth*"], |event| event.link.former_names = vec!["eth1".into()]));
        assert!(shows(&["-i", "web?"], |event| {
            event.to = Some(Destination {
                netns: event.link.netns.clone(),
                container: None,
                name: "web0".into(),
                ifindex: 3,
            });
        }));
    }

    #[test]
    fn a_link_is_found_by_what_the_table_shows() {
        assert!(shows(&["-i", "macvlan0@eth0"], same));
        assert!(shows(&["-i", "*@eth?"], same));
        assert!(!shows(&["-i", "*@eth1"], same));
        assert!(!shows(&["-i", "*eth0"], same), "without @ a glob is for names alone");
        assert!(!shows(&["-i", "*@*"], |event| event.link.parent = None));
    }

    #[test]
    fn names_that_are_no_text_can_be_found() {
        assert!(shows(&["-i", "a?b"], |event| event.link.name = b"a\xffb".to_vec().into()));
    }

    #[test]
    fn a_process_is_found_as_actor_and_as_culprit() {
        let cleanup = |event: &mut Event| {
            event.actor = Some(records::task(42, "kworker/u8:1"));
            event.culprit = Some(records::task(600, "sh"));
        };
        for found in [&["-p", "42"][..], &["-p", "600"], &["--comm", "sh"], &["-p", "600", "--comm", "sh"]] {
            assert!(shows(found, cleanup), "{found:?}");
        }
        for other in [&["-p", "1"][..], &["--comm", "s"], &["-p", "42", "--comm", "sh"]] {
            assert!(!shows(other, cleanup), "{other:?}");
        }
        assert!(!shows(&["-p", "812"], |event| (event.actor, event.culprit) = (None, None)));
    }

    #[test]
    fn a_control_group_is_found_by_its_path_a_path_above_or_a_name_in_it() {
        // Both run in /system.slice/docker.service.
        for found in [
            "/system.slice/docker.service",
            "/system.slice",
            "/system.slice/",
            "/",
            "/system.slice/*",
            "/sys*",
            "*/docker.service",
            "docker.service",
            "system.slice",
            "dock*",
        ] {
            assert!(shows(&["--cgroup", found], same), "{found}");
        }
        for other in
            ["/system", "/docker.service", "docker", "service", "/system.slice/docker.service/x", "x*"]
        {
            assert!(!shows(&["--cgroup", other], same), "{other}");
        }
        assert!(!shows(&["--cgroup", "docker.service"], |event| {
            event.actor = None;
            event.culprit.as_mut().unwrap().cgroup.path = None;
        }));
        assert!(!shows(&["--cgroup", "docker.service", "-p", "1"], same), "one task must be both");
    }

    #[test]
    fn a_container_is_found_by_name_by_id_and_by_its_pod() {
        let of_web = |event: &mut Event| {
            let pod = Pod { namespace: None, name: Some("shop-7d9f".into()), uid: None, qos: None };
            let web = records::container(Some("web"));
            event.victim.container = Some(Container { pod: Some(pod), ..web });
        };
        for found in ["web", "w*", "*", "9f3", "9f3c1a2b4d5e", "9f3c*f8", "shop-*"] {
            assert!(shows(&["-C", found], of_web), "{found}");
        }
        for other in ["we", "db", "WEB", "9f4c", "shop", "3c1a"] {
            assert!(!shows(&["-C", other], of_web), "{other}");
        }
        let lxc = |event: &mut Event| {
            let web = records::container(Some("web"));
            event.victim.container = Some(Container { id: "web".into(), ..web });
        };
        assert!(shows(&["-C", "web"], lxc));
        assert!(!shows(&["-C", "we"], lxc), "a name is no id");
        assert!(!shows(&["-C", "*"], same), "whose it was is not known");
        assert!(shows(&["-C", "db"], |event| {
            event.to = Some(Destination {
                netns: event.link.netns.clone(),
                container: Some(records::container(Some("db"))),
                name: "eth0".into(),
                ifindex: 3,
            });
        }));
        let mut event = records::event(EventKind::Down);
        of_web(&mut event);
        assert!(filter(&["-C", "web"]).shows_unattributed(&event));
        assert!(!filter(&["-C", "db"]).shows_unattributed(&event));
    }

    #[test]
    fn what_nobody_announced_is_not_hidden_by_a_filter_for_processes() {
        let mut event = records::event(EventKind::Down);
        (event.actor, event.culprit) = (None, None);
        assert!(filter(&["-p", "812", "--comm", "ip"]).shows_unattributed(&event));
        assert!(filter(&["--cgroup", "/x"]).shows_unattributed(&event));
        assert!(!filter(&["-i", "eth0"]).shows_unattributed(&event));
    }

    #[test]
    fn macvlan_and_macvtap_are_shown_unless_other_kinds_are_asked_for() {
        let of = |kind: &str, args: &[&str]| shows(args, |event| event.link.kind = Some(kind.into()));
        for kind in kinds::all() {
            let is_macvlan = ["macvlan", "macvtap"].contains(&kind.word);
            assert_eq!(of(kind.word, &[]), is_macvlan, "{kind:?}");
            assert!(of(kind.word, &["-k", "all"]), "{kind:?}");
            assert!(of(kind.word, &["-k", "macvlan", "-k", kind.word]), "{kind:?}");
            assert_eq!(of(kind.word, &["-k", "ipvlan,ipvtap"]), !is_macvlan, "{kind:?}");
        }
    }

    #[test]
    fn a_link_whose_kind_could_not_be_read_may_be_of_any() {
        assert!(shows(&["-k", "ipvlan"], |event| event.link.kind = None));
    }

    #[test]
    fn filters_of_different_sorts_must_all_match() {
        assert!(shows(&["-i", "macvlan0", "-k", "macvlan", "-p", "812", "-e", "deleted"], same));
        assert!(!shows(&["-i", "macvlan0", "-k", "macvlan", "-p", "813", "-e", "deleted"], same));
    }

    #[test]
    fn a_namespace_is_found_by_number_wherever_the_link_goes() {
        assert!(shows(&["--netns", "4026532115"], same));
        assert!(!shows(&["--netns", "4026532116"], same));
        assert!(shows(&["--netns", "4026532116"], |event| {
            event.to = Some(Destination {
                netns: Netns { inode: Some(4_026_532_116), name: None },
                container: None,
                name: "macvlan0".into(),
                ifindex: 3,
            });
        }));
    }
}
