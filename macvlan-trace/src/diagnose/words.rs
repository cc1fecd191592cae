//! The parts of sentences.

use std::{borrow::Cow, fmt::Write as _};

use super::{Remedy, takes_away};
use crate::{
    correlate::{Case, Cause, Ended, Holder, ParentChange, Remark},
    fact::{Container, ExitStatus, Ktime, Link, LinkChange, Pod, Task},
    kernel::names,
    text::Text,
    work::{party, runtime},
};

/// Arguments of a command line that are worth a sentence's room.
const MAX_COMMAND: usize = 80;

/// "ip (PID 812)".
pub fn process(task: &Task) -> String {
    format!("{} (PID {})", task.task.comm, task.task.process.tgid)
}

/// "ip (PID 812: ip link del macvlan0)": the process and its command line, if that says more than its name.
pub fn process_with_command(task: &Task) -> String {
    match command(task) {
        Some(command) => format!("{} (PID {}: {command})", task.task.comm, task.task.process.tgid),
        None => process(task),
    }
}

/// "ip (PID 812: ip link del macvlan0), called by sh (PID 800),": the process, its command line and its caller.
pub fn who(task: &Task) -> String {
    format!("{}{}", process_with_command(task), called_by(task))
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
pub fn how_it_ended(ended: &Ended) -> String {
    match ended.status {
        _ if ended.powered_off => "was powered off from inside".to_owned(),
        ExitStatus::Code(code) => format!("exited with code {code}"),
        ExitStatus::Signal(number) => {
            let core = if ended.core_dumped { " and dumped its core" } else { "" };
            format!("was ended by {}{core}", names::signal(u32::from(number)))
        }
    }
}

/// Who sent a signal. If a runtime called the sender, the caller says more than the command line.
pub fn sender(task: &Task) -> String {
    match runtime::employer(task) {
        Some(_) => format!("{}{}", process(task), called_by(task)),
        None => process_with_command(task),
    }
}

/// What to do, and where the container's runtime logs the requests that it got. The kernel does not see those.
pub fn find_out_who(case: &Case, what: &str) -> String {
    let place = case.ended_in.as_ref().and_then(|victim| match Handle::of(victim)? {
        Handle::Pod { namespace, pod } => {
            // `kubectl describe` does not work for a deleted pod. Its events stay for an hour.
            Some(format!(
                "`kubectl get events --namespace {namespace} --field-selector involvedObject.name={pod}`"
            ))
        }
        Handle::SomePod => Some("`kubectl get events --all-namespaces`".to_owned()),
        Handle::Docker(name) => {
            Some(format!("`docker events --since 10m --until 0s --filter container={name}`"))
        }
        Handle::Podman(name) => {
            Some(format!("`podman events --since 10m --stream=false --filter container={name}`"))
        }
    });
    see(what, place)
}

/// What to do, and where the container's runtime keeps the output of the main process.
pub fn see_what_it_said(case: &Case, what: &str) -> String {
    let place = case.ended_in.as_ref().and_then(|victim| match Handle::of(victim)? {
        Handle::Pod { namespace, pod } => {
            Some(format!("`kubectl logs --previous --namespace {namespace} {pod}`"))
        }
        Handle::SomePod => None,
        Handle::Docker(name) => Some(format!("`docker logs {name}`")),
        Handle::Podman(name) => Some(format!("`podman logs {name}`")),
    });
    see(what, place)
}

/// What to do, and where the container's runtime keeps the reason why it could not start a command.
pub fn see_why_not_started(case: &Case, what: &str) -> String {
    let place = case.ended_in.as_ref().and_then(|victim| match Handle::of(victim)? {
        Handle::Pod { namespace, pod } => {
            Some(format!("`kubectl describe pod --namespace {namespace} {pod}`"))
        }
        Handle::SomePod => None,
        Handle::Docker(name) => Some(format!("`docker inspect -f '{{{{.State.Error}}}}' {name}`")),
        Handle::Podman(name) => Some(format!("`podman inspect -f '{{{{.State.Error}}}}' {name}`")),
    });
    see(what, place)
}

/// "see `systemctl status web.service` and `journalctl -u web.service`".
pub fn see_unit(unit: &str, of_user: bool) -> String {
    let unit = pasteable(unit.as_bytes()).unwrap_or("UNIT");
    if of_user {
        format!("see `systemctl --user status {unit}` and `journalctl --user -u {unit}`")
    } else {
        format!("see `systemctl status {unit}` and `journalctl -u {unit}`")
    }
}

fn see(what: &str, place: Option<String>) -> String {
    place.map_or_else(|| format!("{what}."), |place| format!("{what}: see {place}."))
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

/// "; who asked the runtime for it is not seen", if a daemon's client may have asked.
pub fn client_unseen(task: &Task) -> &'static str {
    if runtime::serves_a_daemon(task) { "; who asked the runtime for it is not seen" } else { "" }
}

/// "the main process sh (PID 812) of container web", or "the last process sh (PID 812)" without a pid namespace.
pub fn ended_process(case: &Case, ended: &Ended) -> String {
    let role = if ended.is_init { "main" } else { "last" };
    let of = case.ended_in.as_ref().map_or_else(String::new, |own| format!(" of {}", container(own)));
    format!("the {role} process {}{of}", process(&ended.task))
}

/// The same at the beginning of a sentence. Only our own words get a capital: a process may call itself "the boss".
pub fn ended_process_first(case: &Case, ended: &Ended) -> String {
    first_capital(&ended_process(case, ended))
}

/// What the end of a process did to the link, through its namespace, its parent, or a runtime that cleared it away.
pub fn fate(case: &Case) -> String {
    let link = &case.fact.link.name;
    match (&case.cause, case.cause.root()) {
        // One sentence for all events of the incident: the link goes down, is renamed, moved and deleted.
        (Cause::Cleanup { by, .. }, _) => format!("{} then cleared {} away", process(by), case.life.known_as),
        (Cause::ParentDeleted { .. }, Cause::Cleanup { by, .. }) => {
            format!("{} then cleared {} away", process(by), lost_parent(case))
        }
        (Cause::ParentDeleted { .. }, _) => {
            format!("its network namespace ended with it, and with that {}", lost_parent(case))
        }
        (Cause::ParentChanged(change), root) if change.change == LinkChange::CarrierLost => {
            let lost = lost_carrier(change, link);
            match root {
                Cause::Cleanup { by, .. } => format!("{} cleared away after it, and {lost}", process(by)),
                _ => format!("its network namespace ended with it, and with that {lost}"),
            }
        }
        (Cause::ParentChanged(change), Cause::Cleanup { by, .. }) => {
            format!("{} then cleared the parent {} of {link} away", process(by), change.parent.name)
        }
        (Cause::ParentChanged(change), _) => {
            format!(
                "its network namespace ended with it, and {} of {link} changed with that",
                change.parent.name
            )
        }
        _ => format!("the network namespace ended with it, and {link} with that"),
    }
}

/// "the parent eth0 of macvlan0", or, if other devices took it along, "eth0, and with that eth0.10 and vxlan0, the
/// parent of macvlan0".
pub fn lost_parent(case: &Case) -> String {
    match case.cause.deleted()[..] {
        [parent] => format!("the parent {} of {}", parent.name, case.fact.link.name),
        _ => lost_device(case),
    }
}

/// "eth0, the parent of macvlan0", or the same with the devices that took it along.
pub fn lost_device(case: &Case) -> String {
    let devices = case.cause.deleted();
    let parent = devices.last().map(|parent| parent.name.to_string()).unwrap_or_default();
    format!("{}{parent}, the parent of {}", taken_along(&devices), case.fact.link.name)
}

/// "eth0, and with that eth0.10 and ": the devices that went before the last one, and took it along.
pub fn taken_along(devices: &[&Link]) -> String {
    match devices {
        [] | [_] => String::new(),
        [first, others @ .., _] => {
            let others: Vec<_> = others.iter().map(|device| format!("{} and ", device.name)).collect();
            format!("{}, and with that {}", first.name, others.concat())
        }
    }
}

/// "the bridge br0, the parent of macvlan0, lost its last port veth1", "eth0, the parent of macvlan0, lost its carrier".
fn lost_carrier(change: &ParentChange, link: &Text) -> String {
    let first = change.first();
    let of_link = if first.id == change.id { format!(", the parent of {link},") } else { String::new() };
    let kind = first.parent.kind.as_ref().filter(|_| first.parent.has_ports());
    let lost = match (kind, &first.below) {
        (Some(kind), Some(port)) => {
            format!("the {kind} {}{of_link} lost its last port {}", first.parent.name, port.name)
        }
        _ => format!("{}{of_link} lost its carrier", first.parent.name),
    };
    if first.id == change.id {
        lost
    } else {
        format!("{lost}, and with that {}, the parent of {link}, its carrier", change.parent.name)
    }
}

/// "a, b and c".
pub fn list<'a>(names: impl Iterator<Item = &'a Text>) -> String {
    let names: Vec<_> = names.map(ToString::to_string).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

/// Our own words with a capital at the beginning of a sentence; a name stays as it is.
pub fn first_capital(sentence: &str) -> String {
    match sentence.strip_prefix("the ") {
        Some(rest) => format!("The {rest}"),
        None => sentence.to_owned(),
    }
}

/// ", 3.2 s after macvlan0 came up", if that was seen, with the name that the link had then.
pub fn after_up(case: &Case, at: Ktime) -> String {
    let link = &case.life.known_as;
    if let Some(up) = case.life.last_up.filter(|up| *up <= at) {
        format!(", {} after {link} came up", duration(up, at))
    } else if let Some(created) = case.life.created.filter(|created| *created <= at) {
        format!(", {} after {link} was created", duration(created, at))
    } else {
        String::new()
    }
}

/// ", 3.2 s after it came up, 3.4 s after dockerd (PID 700) created it": how old a link was when somebody broke it or
/// changed its address, as far as that was seen.
pub fn age(case: &Case, by: &Task) -> String {
    let breaks = takes_away(case);
    if !breaks && case.fact.change != LinkChange::MacChanged {
        return String::new();
    }
    let mut age = String::new();
    if let Some(up) = case.life.up_since.filter(|_| breaks) {
        let _ = write!(age, ", {} after it came up", duration(up, case.at));
    }
    if let Some(created) = case.life.created {
        let since = duration(created, case.at);
        let other = case.life.creator.as_ref().filter(|creator| creator.task.process != by.task.process);
        if let Some(creator) = other {
            let _ = write!(age, ", {since} after {} created it", process(creator));
        } else if age.is_empty() {
            let _ = write!(age, ", {since} after it was created");
        }
    }
    age
}

/// "; kill (PID 900) had sent it SIGTERM 50.0 s before", if that may be the reason.
pub fn unanswered(ended: &Ended) -> String {
    let asked = ended.asked.as_ref().filter(|_| ended.kill.is_none());
    let Some((asked, sender)) = asked.and_then(|asked| Some((asked, asked.sender.as_ref()?))) else {
        return String::new();
    };
    let before = duration(asked.at, ended.at);
    format!("; {} had sent it {} {before} before", self::sender(sender), names::signal(asked.number))
}

/// "3.2 s", for a period.
pub fn period(ns: u64) -> String {
    duration(Ktime(0), Ktime(ns))
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
pub fn set_up_again(case: &Case) -> String {
    let link = plain(&case.fact.link.name);
    let command = match case.main_pid {
        Some(pid) => format!("`nsenter --target {pid} --net ip link set {link} up`"),
        None => format!("`ip link set {link} up` in its namespace"),
    };
    format!("{command} undoes it, but for routes and IPv6 addresses")
}

/// How to undo a down by hand, unless the kernel itself does, and what else to do.
pub fn undo_down(case: &Case, lead: &str, then: Option<Cow<'static, str>>) -> Option<Remedy> {
    match case.fact.change {
        LinkChange::Down if case.fact.path.changes_vrf() => {
            Some(Remedy::undo(keep_addresses(&case.fact.link.name), then))
        }
        LinkChange::Down => Some(Remedy::undo(format!("{lead}{}", set_up_again(case)), then)),
        _ => then.map(Remedy::from),
    }
}

/// How a link keeps its addresses of IPv6 the next time that it is set down (`addrconf_ifdown`).
pub fn keep_addresses(link: &Text) -> String {
    format!(
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
pub fn with_below(change: &ParentChange) -> String {
    let first = change.first();
    if first.id == change.id { String::new() } else { format!(" with {} below it", first.parent.name) }
}

/// "its driver virtio_net", as far as it is known.
pub fn driver(link: &Link) -> String {
    match link.driver.as_ref().or(link.kind.as_ref()) {
        Some(driver) => format!("its driver {driver}"),
        None => "its driver".to_owned(),
    }
}

/// "3.2 s".
pub fn duration(from: Ktime, to: Ktime) -> String {
    let ns = to.0.saturating_sub(from.0);
    let tenths = ns / 100_000_000;
    match ns {
        0..1_000_000 => "less than 1 ms".to_owned(),
        1_000_000..1_000_000_000 => format!("{} ms", ns / 1_000_000),
        1_000_000_000..100_000_000_000 => format!("{}.{} s", tenths / 10, tenths % 10),
        _ => {
            let minutes = ns / 60_000_000_000;
            if minutes < 120 { format!("{minutes} min") } else { format!("{} h", minutes / 60) }
        }
    }
}

/// "ip (PID 901: ip link del macvlan0), called by bash (PID 880), deleted macvlan0, 3.2 s after it came up".
pub fn who_did_what(case: &Case, task: &Task) -> String {
    format!("{} {}{}", who(task), deed(case), age(case, task))
}

/// What somebody did to the link: "set macvlan0 down".
pub fn deed(case: &Case) -> String {
    let link = &case.fact.link.name;
    match case.fact.change {
        LinkChange::Created => format!("created {link}"),
        LinkChange::Up => format!("set {link} up"),
        // `vrf_add_slave` and `vrf_del_slave` set it down, and up again (`cycle_netdev`).
        LinkChange::Down if case.fact.path.changes_vrf() => {
            format!("changed the VRF of {link}, for which the kernel sets it down and up again")
        }
        LinkChange::Down | LinkChange::UnseenDown => format!("set {link} down"),
        // Runtimes give a link a temporary name before they delete it.
        LinkChange::Deleted | LinkChange::UnseenDeleted if case.life.known_as != *link => {
            format!("deleted {}, by then called {link}", case.life.known_as)
        }
        LinkChange::Deleted | LinkChange::UnseenDeleted => format!("deleted {link}"),
        LinkChange::Renamed => match case.life.former_names.last() {
            Some(former) => format!("renamed {former} to {link}"),
            None => format!("renamed a link to {link}"),
        },
        // The kernel gives it another name if its own is taken there.
        LinkChange::Moved if case.life.name_before != *link => {
            format!("moved {} to another network namespace, where it is called {link}", case.life.name_before)
        }
        LinkChange::Moved => format!("moved {link} to another network namespace"),
        LinkChange::CreateFailed
        | LinkChange::UpFailed
        | LinkChange::MacFailed
        | LinkChange::MoveFailed
        | LinkChange::RenameFailed => failed_deed(case),
        LinkChange::CarrierLost => format!("took the carrier of {link} away"),
        LinkChange::CarrierBack => format!("gave {link} its carrier back"),
        LinkChange::MacChanged => format!("changed the hardware address of {link}"),
        LinkChange::AddressRemoved => match case.fact.address.filter(|_| case.fact.is_last_address) {
            Some(last) => {
                let family = if last.ip.is_ipv4() { "IPv4" } else { "IPv6" };
                format!("removed {}, its last one of {family}", address(case))
            }
            None => format!("removed {}", address(case)),
        },
        LinkChange::ParentDown => format!("set the parent of {link} down"),
        LinkChange::ParentUp => format!("set the parent of {link} up"),
    }
}

/// "could not set macvlan0 up (ENETDOWN)".
fn failed_deed(case: &Case) -> String {
    let link = &case.fact.link.name;
    let wanted = case.fact.wanted.as_ref();
    let name = wanted.and_then(|wanted| wanted.name.as_ref());
    let what = match case.fact.change {
        LinkChange::UpFailed => format!("set {link} up"),
        LinkChange::MacFailed => match wanted.and_then(|wanted| wanted.mac) {
            Some(address) => format!("give {link} the hardware address {}", mac(address)),
            None => format!("give {link} another hardware address"),
        },
        LinkChange::MoveFailed => match name.filter(|name| *name != link) {
            Some(name) => format!("move {link} to another network namespace as {name}"),
            None => format!("move {link} to another network namespace"),
        },
        LinkChange::RenameFailed => match name {
            Some(name) => format!("rename {link} to {name}"),
            None => format!("rename {link}"),
        },
        _ => format!("make {link}"),
    };
    let error = case.fact.error.map(|error| format!(" ({})", names::errno(error)));
    format!("could not {what}{}", error.unwrap_or_default())
}

/// "eth0 of container web": who has an address that another link needed.
#[must_use]
pub fn holder(holder: &Holder) -> String {
    match &holder.container {
        Some(own) => format!("{} of {}", holder.link.name, container(own)),
        None => holder.link.name.to_string(),
    }
}

/// "the address 192.0.2.7/24 of macvlan0".
pub fn address(case: &Case) -> String {
    let link = &case.fact.link.name;
    match case.fact.address {
        Some(address) => format!("the address {}/{} of {link}", address.ip, address.prefix),
        None => format!("an address of {link}"),
    }
}

/// How to set the address of a link again, in its namespace.
pub fn set_address_again(case: &Case) -> String {
    let address = case
        .fact
        .address
        .map_or_else(|| "ADDRESS".to_owned(), |address| format!("{}/{}", address.ip, address.prefix));
    set_address(&address, &case.fact.link.name, case.main_pid)
}

/// The same for any address and link.
pub fn set_address(address: &str, link: &Text, main_pid: Option<u32>) -> String {
    let link = plain(link);
    match main_pid {
        Some(pid) => format!("`nsenter --target {pid} --net ip addr replace {address} dev {link}`"),
        None => format!("`ip addr replace {address} dev {link}` in its namespace"),
    }
}

/// "container web", or its id if it has no name.
pub fn container(container: &Container) -> String {
    match &container.name {
        Some(name) => format!("container {name}"),
        None => format!("container {}", container.id.chars().take(12).collect::<String>()),
    }
}

/// "macvlan0, eth0 of container web and 5 more".
pub fn links(remark: &Remark) -> String {
    let name = |(link, of): &(Text, Option<Container>)| match of {
        Some(of) => format!("{link} of {}", container(of)),
        None => link.to_string(),
    };
    let names: Vec<_> = remark.links.iter().map(name).collect();
    let mut links = names.join(", ");
    if remark.more > 0 {
        let _ = write!(links, " and {} more", remark.more);
    }
    links
}

/// ", called by sh (PID 800),": the nearest parent, if there is one; or `ifdown` and the like, past shells and scripts.
pub fn called_by(task: &Task) -> String {
    party::delegate_of(task)
        .or_else(|| task.ancestors.first())
        .map(|parent| format!(", called by {} (PID {}),", parent.comm, parent.process.tgid))
        .unwrap_or_default()
}
