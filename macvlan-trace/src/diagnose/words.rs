//! The parts of sentences.

use std::fmt::Write as _;

use super::{Remedy, exit_behind, takes_away};
use crate::{
    correlate::{Case, Cause, Ended, Holder, ParentChange, Remark},
    fact::{Container, ExitStatus, Ktime, Link, LinkChange, Pod, Task},
    kernel::names,
    sentence::{Fill, Part, Period, Sentence, sentence},
    text::Text,
    work::{party, runtime},
};

/// Arguments of a command line that are worth a sentence's room.
const MAX_COMMAND: usize = 80;
/// Containers that a sentence names.
const MAX_CONTAINERS: usize = 3;

/// "ip (PID 812)".
pub fn process(task: &Task) -> Part {
    Part::Process { comm: task.task.comm.clone(), pid: task.task.process.tgid, command: None }
}

/// "ip (PID 812: ip link del macvlan0)": the process and its command line, if that says more than its name.
pub fn process_with_command(task: &Task) -> Part {
    Part::Process { comm: task.task.comm.clone(), pid: task.task.process.tgid, command: command(task) }
}

/// "ip (PID 812: ip link del macvlan0), called by sh (PID 800),": the process, its command line and its caller.
pub fn who(task: &Task) -> Sentence {
    sentence!("{}{}", process_with_command(task), called_by(task))
}

/// The command line on one line, cut if it is long.
fn command(task: &Task) -> Option<String> {
    let args = task.args.as_ref().filter(|args| args.len() > 1)?;
    let mut line = String::new();
    for arg in args {
        if !line.is_empty() {
            line.push(' ');
        }
        let _ = write!(line, "{arg}");
        if line.chars().count() > MAX_COMMAND {
            line = line.chars().take(MAX_COMMAND).collect();
            line.push('…');
            break;
        }
    }
    Some(line)
}

/// "exited with code 3" or "was ended by SIGSEGV and dumped its core".
pub fn how_it_ended(ended: &Ended) -> Sentence {
    match ended.status {
        _ if ended.powered_off => sentence!("was powered off from inside"),
        ExitStatus::Code(code) => sentence!("exited with code {}", Part::name(&code)),
        ExitStatus::Signal(number) => {
            let core = if ended.core_dumped { " and dumped its core" } else { "" };
            sentence!("was ended by {}{}", names::signal(u32::from(number)), core)
        }
    }
}

/// Who sent a signal. If a runtime called the sender, the caller says more than the command line.
pub fn sender(task: &Task) -> Sentence {
    match runtime::employer(task) {
        Some(_) => sentence!("{}{}", process(task), called_by(task)),
        None => process_with_command(task).into(),
    }
}

/// What to do, and where the container's runtime logs the requests that it got. The kernel does not see those.
pub fn find_out_who(case: &Case, what: &'static str) -> Sentence {
    let place = case.ended_in.as_ref().and_then(|victim| match Handle::of(victim)? {
        // `kubectl describe` does not work for a deleted pod. Its events stay for an hour.
        Handle::Pod { namespace, pod } => Some(sentence!(
            "`kubectl get events --namespace {} --field-selector involvedObject.name={}`",
            namespace,
            pod
        )),
        Handle::SomePod => Some(sentence!("`kubectl get events --all-namespaces`")),
        Handle::Docker(name) => {
            Some(sentence!("`docker events --since 10m --until 0s --filter container={}`", name))
        }
        Handle::Podman(name) => {
            Some(sentence!("`podman events --since 10m --stream=false --filter container={}`", name))
        }
    });
    see(what, place)
}

/// What to do, and where the container's runtime keeps the output of the main process.
pub fn see_what_it_said(case: &Case, what: &'static str) -> Sentence {
    let place = case.ended_in.as_ref().and_then(|victim| match Handle::of(victim)? {
        Handle::Pod { namespace, pod } => {
            Some(sentence!("`kubectl logs --previous --namespace {} {}`", namespace, pod))
        }
        Handle::SomePod => None,
        Handle::Docker(name) => Some(sentence!("`docker logs {}`", name)),
        Handle::Podman(name) => Some(sentence!("`podman logs {}`", name)),
    });
    see(what, place)
}

/// What to do, and where the container's runtime keeps the reason why it could not start a command.
pub fn see_why_not_started(case: &Case, what: &'static str) -> Sentence {
    const ERROR: &str = "{{.State.Error}}";
    let place = case.ended_in.as_ref().and_then(|victim| match Handle::of(victim)? {
        Handle::Pod { namespace, pod } => {
            Some(sentence!("`kubectl describe pod --namespace {} {}`", namespace, pod))
        }
        Handle::SomePod => None,
        Handle::Docker(name) => Some(sentence!("`docker inspect -f '{}' {}`", ERROR, name)),
        Handle::Podman(name) => Some(sentence!("`podman inspect -f '{}' {}`", ERROR, name)),
    });
    see(what, place)
}

/// "see `systemctl status web.service` and `journalctl -u web.service`".
pub fn see_unit(unit: &str, of_user: bool) -> Sentence {
    let unit = || pasteable(unit.as_bytes()).unwrap_or("UNIT").to_owned();
    if of_user {
        sentence!("see `systemctl --user status {}` and `journalctl --user -u {}`", unit(), unit())
    } else {
        sentence!("see `systemctl status {}` and `journalctl -u {}`", unit(), unit())
    }
}

fn see(what: &'static str, place: Option<Sentence>) -> Sentence {
    match place {
        Some(place) => sentence!("{}: see {}", what, place),
        None => what.into(),
    }
}

/// What the client of a container's runtime calls it.
enum Handle {
    Pod {
        namespace: String,
        pod: String,
    },
    /// A pod whose name is not known.
    SomePod,
    Docker(String),
    Podman(String),
}

impl Handle {
    /// Uses a placeholder for a name that a shell would misunderstand. `None` for a runtime that keeps no logs.
    fn of(container: &Container) -> Option<Self> {
        let or = |name: &str, placeholder| pasteable(name.as_bytes()).unwrap_or(placeholder).to_owned();
        let name = or(container.name.as_ref().unwrap_or(&container.id), "CONTAINER");
        match (&container.pod, container.runtime.as_deref()) {
            (Some(Pod { namespace: Some(namespace), name: Some(pod), .. }), _) => {
                Some(Self::Pod { namespace: or(namespace, "NAMESPACE"), pod: or(pod, "POD") })
            }
            (Some(_), _) => Some(Self::SomePod),
            (None, Some("docker")) => Some(Self::Docker(name)),
            (None, Some("podman")) => Some(Self::Podman(name)),
            _ => None,
        }
    }
}

/// "; who asked the runtime for it is not seen", if a client of a daemon or of a monitor may have asked.
pub fn client_unseen(task: &Task) -> &'static str {
    if runtime::serves_clients(task) { "; who asked the runtime for it is not seen" } else { "" }
}

/// "the main process sh (PID 812) of container web", or "the last process sh (PID 812)" without a pid namespace.
pub fn ended_process(case: &Case, ended: &Ended) -> Sentence {
    let role = if ended.is_init { "the main process " } else { "the last process " };
    let of = case.ended_in.as_ref().map(|own| sentence!(" of {}", container(own)));
    sentence!("{}{}{}", role, process(&ended.task), of)
}

/// What the end of a process did to the link, through its namespace, its parent, or a runtime that cleared it away.
pub fn fate(case: &Case) -> Sentence {
    fate_of_namespace(case, "with it")
}

/// The same, where the namespace ended "with it", or "by that".
pub fn fate_of_namespace(case: &Case, how: &'static str) -> Sentence {
    let link = Part::link(&case.fact.link.name);
    match (&case.cause, case.cause.root()) {
        // One sentence for all events of the incident: the link goes down, is renamed, moved and deleted.
        (Cause::Cleanup { by, .. }, _) => {
            let left = left_behind(case);
            let others = (!left.is_empty())
                .then(|| sentence!(", also from {}, which shared its network namespace", containers(&left)));
            sentence!("{} then cleared {} away{}", process(by), Part::link(&case.life.known_as), others)
        }
        (Cause::ParentDeleted { .. }, Cause::Cleanup { by, .. }) => {
            sentence!("{} then cleared {} away", process(by), lost_parent(case))
        }
        (Cause::ParentDeleted { .. }, _) => {
            sentence!("its network namespace ended {}, and with that {}", how, lost_with_it(case))
        }
        (Cause::ParentChanged(change), root) if change.change == LinkChange::CarrierLost => {
            let lost = lost_carrier(change, &case.fact.link.name);
            match root {
                Cause::Cleanup { by, .. } => sentence!("{} cleared away after it, and {}", process(by), lost),
                _ => sentence!("its network namespace ended {}, and with that {}", how, lost),
            }
        }
        (Cause::ParentChanged(change), root) => {
            let parent = Part::device(&change.parent.name);
            match root {
                Cause::Cleanup { by, .. } => {
                    sentence!("{} then cleared the parent {} of {} away", process(by), parent, link)
                }
                _ => sentence!(
                    "its network namespace ended {}, and {} of {} changed with that",
                    how,
                    parent,
                    link
                ),
            }
        }
        _ => sentence!("the network namespace ended {}, and {} with that", how, link),
    }
}

/// The containers that may stay behind in the network namespace of one that ended: its runtime has cleared it away, and
/// makes another one if the container starts again. A pod's containers are started together, and a runtime that is told
/// to end ends them all.
fn left_behind(case: &Case) -> Vec<&Container> {
    let of_victim = case.victim.as_ref().is_some_and(|victim| case.ended_in.as_ref() == Some(victim));
    let all_end = exit_behind(case).is_some_and(|ended| ended.behind.is_some());
    // Their own ends may be among what was missed.
    let is_cleared = of_victim && !all_end && !case.blind && matches!(case.cause, Cause::Cleanup { .. });
    let alone = |container: &&Container| container.pod.is_none();
    case.shared_with.iter().filter(|_| is_cleared).filter(alone).collect()
}

/// "container app, container log and 3 more".
fn containers(all: &[&Container]) -> Sentence {
    let (named, more) = all.split_at(all.len().min(MAX_CONTAINERS));
    let mut items: Vec<Sentence> = named.iter().map(|one| container(one).into()).collect();
    if !more.is_empty() {
        items.push(sentence!("{} more", Part::Number(more.len() as u64)));
    }
    list(items)
}

/// What gives containers that may [stay behind](left_behind) their network again. The runtime knows the first one by its
/// id: where that was made anew, they cannot be started again.
pub fn rejoin(case: &Case) -> Option<Sentence> {
    let left = left_behind(case);
    let client_and_name = |one: &&Container| match Handle::of(one)? {
        Handle::Docker(name) => Some(("docker", name)),
        Handle::Podman(name) => Some(("podman", name)),
        Handle::Pod { .. } | Handle::SomePod => None,
    };
    let (client, _) = left.iter().find_map(&client_and_name)?;
    let (known, mut names): (Vec<&Container>, Vec<String>) = left
        .iter()
        .filter_map(|one| Some((*one, client_and_name(one).filter(|(its, _)| *its == client)?.1)))
        .unzip();
    // Placeholders for what cannot be pasted.
    names.dedup();
    let (are, them) = if known.len() == 1 { ("is", "it") } else { ("are", "them") };
    let first = case.ended_in.as_ref()?;
    Some(sentence!(
        "if {} {} to go on, `{} restart {}` takes {} to the new network namespace of {} once that runs again; where \
         that was made anew, make {} anew, too",
        containers(&known),
        are,
        client,
        names.join(" "),
        them,
        container(first),
        them,
    ))
}

/// "the parent eth0 of macvlan0", or, if other devices took it along, "eth0, and with that eth0.10 and vxlan0, the
/// parent of macvlan0".
pub fn lost_parent(case: &Case) -> Sentence {
    match case.cause.deleted()[..] {
        [parent] => {
            sentence!("the parent {} of {}", Part::device(&parent.name), Part::link(&case.fact.link.name))
        }
        _ => lost_device(case),
    }
}

/// "the parent eth0 of macvlan0", or, of several devices that went with a namespace, "veth1, veth0 and eth0.10, the parent
/// of macvlan0".
fn lost_with_it(case: &Case) -> Sentence {
    match case.cause.deleted()[..] {
        [_] => lost_parent(case),
        ref devices => {
            let devices = list(devices.iter().map(|device| Part::device(&device.name)));
            sentence!("{}, the parent of {}", devices, Part::link(&case.fact.link.name))
        }
    }
}

/// "eth0, the parent of macvlan0", or the same with the devices that took it along.
pub fn lost_device(case: &Case) -> Sentence {
    let devices = case.cause.deleted();
    let parent = devices.last().map(|parent| Part::device(&parent.name));
    let link = Part::link(&case.fact.link.name);
    sentence!("{}{}, the parent of {}", taken_along(&devices), parent, link)
}

/// "eth0, and with that eth0.10 and ": the devices that went before the last one, and took it along.
pub fn taken_along(devices: &[&Link]) -> Option<Sentence> {
    let [first, others @ .., _] = devices else { return None };
    let others = others.iter().map(|device| sentence!("{} and ", Part::device(&device.name)));
    Some(sentence!("{}, and with that {}", Part::device(&first.name), Sentence::joined(others, "")))
}

/// "the bridge br0, the parent of macvlan0, lost its last port veth1", "eth0, the parent of macvlan0, lost its carrier".
fn lost_carrier(change: &ParentChange, link: &Text) -> Sentence {
    let first = change.first();
    let of_link = (first.id == change.id).then(|| sentence!(", the parent of {},", Part::link(link)));
    let device = Part::device(&first.parent.name);
    let kind = first.parent.kind.as_ref().filter(|_| first.parent.has_ports());
    let lost = match (kind, &first.below) {
        (Some(kind), Some(port)) => sentence!(
            "the {} {}{} lost its last port {}",
            Part::name(kind),
            device,
            of_link,
            Part::device(&port.name)
        ),
        _ => sentence!("{}{} lost its carrier", device, of_link),
    };
    if first.id == change.id {
        return lost;
    }
    sentence!(
        "{}, and with that {}, the parent of {}, its carrier",
        lost,
        Part::device(&change.parent.name),
        Part::link(link)
    )
}

/// "a, b and c".
pub fn list<T: Fill>(items: impl IntoIterator<Item = T>) -> Sentence {
    let mut names: Vec<_> = items.into_iter().collect();
    match names.pop() {
        Some(last) if names.is_empty() => sentence!("{}", last),
        Some(last) => sentence!("{} and {}", Sentence::joined(names, ", "), last),
        None => Sentence::default(),
    }
}

/// ", 3.2 s after macvlan0 came up", if that was seen, with the name that the link had then.
pub fn after_up(case: &Case, at: Ktime) -> Option<Sentence> {
    let link = Part::link(&case.life.known_as);
    let before = |then: &Ktime| *then <= at;
    if let Some(up) = case.life.last_up.filter(before) {
        return Some(sentence!(", {} after {} came up", duration(up, at), link));
    }
    let created = case.life.created.filter(before)?;
    Some(sentence!(", {} after {} was created", duration(created, at), link))
}

/// ", 3.2 s after it came up, 3.4 s after dockerd (PID 700) created it": how old a link was when somebody broke it or
/// changed its address, as far as that was seen.
pub fn age(case: &Case, by: &Task) -> Option<Sentence> {
    if let Some(set) = after_set(case, Some(by)) {
        return Some(set);
    }
    let breaks = takes_away(case);
    if !breaks && case.fact.change != LinkChange::MacChanged {
        return None;
    }
    let up = case.life.up_since.filter(|_| breaks);
    let up = up.map(|up| sentence!(", {} after it came up", duration(up, case.at)));
    let created = case.life.created.and_then(|created| {
        let since = duration(created, case.at);
        let other = case.life.creator.as_ref().filter(|creator| creator.task.process != by.task.process);
        match other {
            Some(creator) => Some(sentence!(", {} after {} created it", since, process(creator))),
            None if up.is_none() => Some(sentence!(", {} after it was created", since)),
            None => None,
        }
    });
    Some(sentence!("{}{}", up, created))
}

/// ", 10 min after dhclient (PID 700) had set it": who had set the address that a link loses, if that is another process
/// than the one that removed it.
pub fn after_set(case: &Case, by: Option<&Task>) -> Option<Sentence> {
    let setter = case.setter.as_ref()?;
    let other = by.is_none_or(|by| by.task.process != setter.by.task.process);
    other.then(|| sentence!(", {} after {} had set it", duration(setter.at, case.at), who(&setter.by)))
}

/// "; dhclient (PID 690), which had called that, was killed by kill (PID 900), 5 min before": what had become of whoever
/// had set an address, and lived on after that.
pub fn setter_ended(case: &Case) -> Option<Sentence> {
    let setter = case.setter.as_ref()?;
    let ended = setter.ended.as_ref()?;
    let called = ended.task.task.process != setter.by.task.process;
    let how = match ended.kill.as_ref().map(|kill| (kill.fatal, kill.sender.as_deref())) {
        Some((true, Some(by))) => sentence!("was killed by {}", sender(by)),
        Some((false, Some(by))) => sentence!("ended since {} had asked it to", sender(by)),
        _ => how_it_ended(ended),
    };
    Some(sentence!(
        "; {}{} {}, {} before",
        process(&ended.task),
        if called { ", which had called that," } else { "" },
        how,
        duration(ended.at, case.at),
    ))
}

/// "; kill (PID 900) had sent it SIGTERM 50.0 s before", if that may be the reason.
pub fn unanswered(ended: &Ended) -> Option<Sentence> {
    let asked = ended.asked.as_ref().filter(|_| ended.kill.is_none())?;
    let sender = sender(asked.sender.as_ref()?);
    let before = duration(asked.at, ended.at);
    Some(sentence!("; {} had sent it {} {} before", sender, names::signal(asked.number), before))
}

/// Whether the link will have another name next time: on the host, runtimes give links random names.
pub fn has_passing_name(case: &Case) -> bool {
    case.life.creator.as_deref().is_some_and(runtime::works_for_one) || is_by_chance(&case.fact.link.name)
}

/// Whether the name is like `veth918345f`, as Docker and CNI plugins call a macvlan link on the host.
pub fn is_by_chance(name: &Text) -> bool {
    name.as_bytes().starts_with(b"veth")
}

/// How to set the link up again in its namespace, and what stays lost: `dev_close` has flushed the routes, and IPv6
/// also the addresses (`addrconf_ifdown`).
pub fn set_up_again(case: &Case) -> Sentence {
    let link = plain(&case.fact.link.name);
    let command = match case.main_pid {
        Some(pid) => sentence!("`nsenter --target {} --net ip link set {} up`", Part::name(&pid), link),
        None => sentence!("`ip link set {} up` in its namespace", link),
    };
    sentence!("{} undoes it, but for routes and IPv6 addresses", command)
}

/// How to undo a down by hand, unless the kernel itself does, and what else to do.
pub fn undo_down(case: &Case, lead: &'static str, then: Option<Sentence>) -> Option<Remedy> {
    match case.fact.change {
        LinkChange::Down if case.fact.path.changes_vrf() => {
            Some(Remedy::undo(keep_addresses(&case.fact.link.name), then))
        }
        LinkChange::Down => Some(Remedy::undo(sentence!("{}{}", lead, set_up_again(case)), then)),
        _ => then.map(Remedy::from),
    }
}

/// How a link keeps its addresses of IPv6 the next time that it is set down (`addrconf_ifdown`).
pub fn keep_addresses(link: &Text) -> Sentence {
    sentence!(
        "`sysctl net.ipv6.conf.{}.keep_addr_on_down=1` in its namespace keeps addresses of IPv6 over a down; routes are \
         to be set again",
        plain(link)
    )
}

/// A name that can be pasted into a shell; a placeholder for one that a shell would misunderstand.
pub fn plain(name: &Text) -> String {
    pasteable(name.as_bytes()).unwrap_or("LINK").to_owned()
}

/// A name, if no shell can misunderstand it.
pub fn pasteable(name: &[u8]) -> Option<&str> {
    let harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-@".contains(byte);
    let is_plain = !name.is_empty() && !name.starts_with(b"-") && name.iter().all(harmless);
    str::from_utf8(name).ok().filter(|_| is_plain)
}

/// "02:00:00:00:00:07".
#[must_use]
pub fn mac(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// " with eth0 below it", if the change began further below.
pub fn with_below(change: &ParentChange) -> Option<Sentence> {
    let first = change.first();
    (first.id != change.id).then(|| sentence!(" with {} below it", Part::device(&first.parent.name)))
}

/// "its driver virtio_net", as far as it is known.
pub fn driver(link: &Link) -> Sentence {
    match link.driver.as_ref().or(link.kind.as_ref()) {
        Some(driver) => sentence!("its driver {}", Part::name(driver)),
        None => "its driver".into(),
    }
}

/// "3.2 s".
pub fn duration(from: Ktime, to: Ktime) -> Period {
    Period(to.0.saturating_sub(from.0))
}

/// "ip (PID 901: ip link del macvlan0), called by bash (PID 880), deleted macvlan0, 3.2 s after it came up".
pub fn who_did_what(case: &Case, task: &Task) -> Sentence {
    sentence!("{} {}{}", who(task), deed(case), age(case, task))
}

/// What somebody did to the link: "set macvlan0 down".
pub fn deed(case: &Case) -> Sentence {
    let name = &case.fact.link.name;
    let link = Part::link(name);
    match case.fact.change {
        LinkChange::Created => sentence!("created {}", link),
        LinkChange::Up => sentence!("set {} up", link),
        // `vrf_add_slave` and `vrf_del_slave` set it down, and up again (`cycle_netdev`).
        LinkChange::Down if case.fact.path.changes_vrf() => {
            sentence!("changed the VRF of {}, for which the kernel sets it down and up again", link)
        }
        LinkChange::Down | LinkChange::UnseenDown => sentence!("set {} down", link),
        // Runtimes give a link a temporary name before they delete it.
        LinkChange::Deleted | LinkChange::UnseenDeleted if case.life.known_as != *name => {
            sentence!("deleted {}, by then called {}", Part::link(&case.life.known_as), link)
        }
        LinkChange::Deleted | LinkChange::UnseenDeleted => sentence!("deleted {}", link),
        LinkChange::Renamed => match case.life.former_names.last() {
            Some(former) => sentence!("renamed {} to {}", Part::link(former), link),
            None => sentence!("renamed a link to {}", link),
        },
        // The kernel gives it another name if its own is taken there.
        LinkChange::Moved if case.life.name_before != *name => sentence!(
            "moved {} to another network namespace, where it is called {}",
            Part::link(&case.life.name_before),
            link
        ),
        LinkChange::Moved => sentence!("moved {} to another network namespace", link),
        LinkChange::CreateFailed
        | LinkChange::UpFailed
        | LinkChange::MacFailed
        | LinkChange::MoveFailed
        | LinkChange::RenameFailed => failed_deed(case),
        LinkChange::CarrierLost => sentence!("took the carrier of {} away", link),
        LinkChange::CarrierBack => sentence!("gave {} its carrier back", link),
        LinkChange::MacChanged => sentence!("changed the hardware address of {}", link),
        LinkChange::AddressRemoved => match case.fact.address.filter(|_| case.fact.is_last_address) {
            Some(last) => {
                let family = if last.ip.is_ipv4() { "IPv4" } else { "IPv6" };
                sentence!("removed {}, its last one of {}", address(case), family)
            }
            None => sentence!("removed {}", address(case)),
        },
        LinkChange::ParentDown => sentence!("set the parent of {} down", link),
        LinkChange::ParentUp => sentence!("set the parent of {} up", link),
    }
}

/// "could not set macvlan0 up (ENETDOWN)".
fn failed_deed(case: &Case) -> Sentence {
    let link = Part::link(&case.fact.link.name);
    let wanted = case.fact.wanted.as_ref();
    let name = wanted.and_then(|wanted| wanted.name.as_ref());
    let what = match case.fact.change {
        LinkChange::UpFailed => sentence!("set {} up", link),
        LinkChange::MacFailed => match wanted.and_then(|wanted| wanted.mac) {
            Some(address) => sentence!("give {} the hardware address {}", link, Part::Address(mac(address))),
            None => sentence!("give {} another hardware address", link),
        },
        LinkChange::MoveFailed => match name.filter(|name| **name != case.fact.link.name) {
            Some(name) => sentence!("move {} to another network namespace as {}", link, Part::link(name)),
            None => sentence!("move {} to another network namespace", link),
        },
        LinkChange::RenameFailed => match name {
            Some(name) => sentence!("rename {} to {}", link, Part::link(name)),
            None => sentence!("rename {}", link),
        },
        _ => sentence!("make {}", link),
    };
    let error = case.fact.error.map(|error| sentence!(" ({})", names::errno(error)));
    sentence!("could not {}{}", what, error)
}

/// "eth0 of container web": who has an address that another link needed.
#[must_use]
pub fn holder(holder: &Holder) -> Sentence {
    let of = holder.container.as_ref().map(|own| sentence!(" of {}", container(own)));
    sentence!("{}{}", Part::device(&holder.link.name), of)
}

/// "the address 192.0.2.7/24 of macvlan0".
#[must_use]
pub fn address(case: &Case) -> Sentence {
    let link = Part::link(&case.fact.link.name);
    match case.fact.address {
        Some(address) => {
            let address = Part::Address(format!("{}/{}", address.ip, address.prefix));
            sentence!("the address {} of {}", address, link)
        }
        None => sentence!("an address of {}", link),
    }
}

/// How to set the address of a link again, in its namespace.
pub fn set_address_again(case: &Case) -> Sentence {
    let address = case
        .fact
        .address
        .map_or_else(|| "ADDRESS".to_owned(), |address| format!("{}/{}", address.ip, address.prefix));
    set_address(address, &case.fact.link.name, case.main_pid)
}

/// The same for any address and link.
pub fn set_address(address: String, link: &Text, main_pid: Option<u32>) -> Sentence {
    let link = plain(link);
    match main_pid {
        Some(pid) => sentence!(
            "`nsenter --target {} --net ip addr replace {} dev {}`",
            Part::name(&pid),
            address,
            link
        ),
        None => sentence!("`ip addr replace {} dev {}` in its namespace", address, link),
    }
}

/// "container web", or its id if it has no name.
pub fn container(container: &Container) -> Part {
    let id = || container.id.chars().take(12).collect();
    Part::Container(container.name.clone().unwrap_or_else(id))
}

/// "macvlan0, eth0 of container web and 5 more".
pub fn links(remark: &Remark) -> Sentence {
    let links = remark.links.iter().map(|(link, of)| {
        sentence!("{}{}", Part::link(link), of.as_ref().map(|of| sentence!(" of {}", container(of))))
    });
    let more = (remark.more > 0).then(|| sentence!(" and {} more", Part::Number(remark.more as u64)));
    sentence!("{}{}", Sentence::joined(links, ", "), more)
}

/// ", called by sh (PID 800),": the nearest parent, if there is one; or `ifdown` and the like, past shells and scripts.
pub fn called_by(task: &Task) -> Option<Sentence> {
    let parent = party::delegate_of(task).or_else(|| task.ancestors.first())?;
    let caller = Part::Process { comm: parent.comm.clone(), pid: parent.process.tgid, command: None };
    Some(sentence!(", called by {},", caller))
}
