//! What a control group belongs to: a systemd unit, slice and session, a container and a pod.
//!
//! Anybody who may make control groups can give them any name. So this module recognises only path shapes that a
//! runtime really makes; all others are unknown.

use super::unit_of;
use crate::{
    fact::{Container, Pod},
    text::Text,
};

/// What a control group belongs to. `None` if its path does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The innermost service or scope: with a systemd inside a container, the unit of that one.
    pub unit: Option<Text>,
    /// The slice that holds the unit; without a unit, the innermost slice.
    pub slice: Option<Text>,
    /// The login session, such as `3`.
    pub session: Option<Text>,
    /// The innermost container.
    pub container: Option<ContainerId>,
    /// The innermost Kubernetes pod.
    pub pod: Option<PodId>,
}

/// A container, as far as the path describes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ContainerId {
    /// `docker`, `podman`, `containerd`, `cri-o`, `lxc` or `systemd-nspawn`; `None` if several use this shape.
    pub runtime: Option<&'static str>,
    /// 64 hexadecimal digits, or the name if the runtime identifies its containers by name.
    pub id: String,
    /// The user whose rootless runtime made it; `None` for the machine's own.
    pub user: Option<u32>,
    /// Whether it runs inside another container. Then only files inside that one have its name.
    pub nested: bool,
}

/// A Kubernetes pod, as far as the path describes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodId {
    /// Its uid, as Kubernetes writes it.
    pub uid: String,
    /// Its quality of service: `guaranteed`, `burstable` or `besteffort`.
    pub qos: &'static str,
}

/// Runtimes that identify their containers by name.
const BY_NAME: [&str; 2] = ["lxc", "systemd-nspawn"];

impl ContainerId {
    /// The container, as far as the path describes it. Its runtime's files may add to that.
    #[must_use]
    pub fn bare(&self, pod: Option<&PodId>) -> Container {
        let by_name = self.runtime.is_some_and(|runtime| BY_NAME.contains(&runtime));
        Container {
            id: self.id.clone(),
            user: self.user,
            runtime: self.runtime.map(str::to_owned),
            name: by_name.then(|| self.id.clone()),
            pod: pod.map(|pod| Pod {
                uid: Some(pod.uid.clone()),
                qos: Some(pod.qos.to_owned()),
                namespace: None,
                name: None,
            }),
        }
    }

    /// Whether the files of the machine's or the user's runtime may say more. The files of a nested runtime are inside
    /// its container, and whoever controls that container could choose the id of another one outside.
    #[must_use]
    pub fn has_files(&self) -> bool {
        !self.nested && !self.runtime.is_some_and(|runtime| BY_NAME.contains(&runtime))
    }
}

/// Reads a path.
#[must_use]
pub fn place_of(path: &Text) -> Place {
    // systemd puts `_` before a name that would clash with a control file.
    let parts: Vec<&[u8]> = path
        .as_bytes()
        .split(|&byte| byte == b'/')
        .filter(|part| !part.is_empty())
        .map(|part| part.strip_prefix(b"_").unwrap_or(part))
        .collect();
    let (container, pod) = containers_of(&parts);
    Place { unit: unit_of(path), slice: slice_of(&parts), session: session_of(&parts), container, pod }
}

fn slice_of(parts: &[&[u8]]) -> Option<Text> {
    let is = |part: &[u8], suffix: &[u8]| part.len() > suffix.len() && part.ends_with(suffix);
    let unit = parts.iter().rposition(|part| is(part, b".service") || is(part, b".scope"));
    let slice = parts[..unit.unwrap_or(parts.len())].iter().rfind(|part| is(part, b".slice"))?;
    Some(Text::from(slice.to_vec()))
}

fn session_of(parts: &[&[u8]]) -> Option<Text> {
    parts.windows(2).rev().find_map(|pair| {
        let session = pair[1].strip_prefix(b"session-")?.strip_suffix(b".scope")?;
        let of_user = pair[0].starts_with(b"user-") && pair[0].ends_with(b".slice");
        (of_user && !session.is_empty()).then(|| Text::from(session.to_vec()))
    })
}

/// The innermost container and the innermost pod.
fn containers_of(parts: &[&[u8]]) -> (Option<ContainerId>, Option<PodId>) {
    let mut user = None;
    let mut innermost: Option<ContainerId> = None;
    let mut pod = None;
    let is_cut = parts.first().is_some_and(|first| *first == "…".as_bytes());
    for at in 0..parts.len() {
        user = user_of(parts[at]).or(user);
        pod = pod_at(parts, at).or(pod);
        if let Some((runtime, id)) = container_at(parts, at) {
            // If the path was cut, there may be another container above.
            let nested = innermost.is_some() || is_cut;
            innermost = Some(ContainerId { runtime, id, user: user.filter(|_| !nested), nested });
        }
    }
    (innermost, pod)
}

/// The user of a user manager; `None` for root, whose runtimes keep their files where the machine's do.
fn user_of(part: &[u8]) -> Option<u32> {
    let uid = part.strip_prefix(b"user@")?.strip_suffix(b".service")?;
    str::from_utf8(uid).ok()?.parse().ok().filter(|&uid| uid != 0)
}

/// The container whose control group has the name at `at`.
fn container_at(parts: &[&[u8]], at: usize) -> Option<(Option<&'static str>, String)> {
    let part = parts[at];
    let parent = at.checked_sub(1).map_or(&b""[..], |at| parts[at]);
    if is_long_id(part) {
        return match parent {
            b"docker" => Some((Some("docker"), text(part))),
            // A pod of Podman, which has its containers inside.
            b"libpod_parent" => None,
            _ if is_containerd_namespace(parts, at) => Some((Some("containerd"), text(part))),
            _ => Some((None, text(part))),
        };
    }
    // `docker-ID.scope`; without `.scope` from the cgroupfs driver; `SLICE:docker:ID` where a runtime with the cgroupfs
    // driver gets a path that is meant for the systemd driver.
    let name = part.strip_suffix(b".scope").unwrap_or(part);
    let split = name.len().checked_sub(LONG_ID + 1).map(|at| (&name[..at], name[at], &name[at + 1..]));
    if let Some((front, separator @ (b'-' | b':'), id)) = split.filter(|(_, _, id)| is_long_id(id)) {
        let prefix = match separator {
            b':' => front.rsplit(|&byte| byte == b':').next().unwrap_or(front),
            _ => front,
        };
        return Some((Some(runtime_of(prefix)?), text(id)));
    }
    if let Some(name) = part.strip_prefix(b"lxc.payload.").filter(|name| !name.is_empty()) {
        return Some((Some("lxc"), text(name)));
    }
    if parent == b"lxc.payload" || parent == b"lxc" {
        return Some((Some("lxc"), text(part)));
    }
    // Its neighbour `supervisor` is systemd-nspawn itself; a virtual machine's scope has no payload.
    if part == b"payload" {
        let machine = parent
            .strip_prefix(b"systemd-nspawn@")
            .and_then(|name| name.strip_suffix(b".service"))
            .or_else(|| parent.strip_prefix(b"machine-")?.strip_suffix(b".scope"))?;
        return Some((Some("systemd-nspawn"), text(&unescape(machine))));
    }
    (is_containerd_namespace(parts, at) && is_containerd_id(part)).then(|| (Some("containerd"), text(part)))
}

/// The runtime whose control groups have names with this prefix. `crio-conmon` and `libpod-conmon` are monitors, which
/// live outside their containers.
fn runtime_of(prefix: &[u8]) -> Option<&'static str> {
    Some(match prefix {
        b"docker" => "docker",
        b"cri-containerd" | b"nerdctl" => "containerd",
        b"crio" => "cri-o",
        // `payload` with `--cgroups=split`, as Quadlet has it.
        b"libpod" | b"libpod-payload" => "podman",
        _ => return None,
    })
}

/// How many digits a generated id has.
const LONG_ID: usize = 64;

fn is_long_id(part: &[u8]) -> bool {
    part.len() == LONG_ID && part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether the name before `at` is a namespace of containerd: by default its clients use `/NAMESPACE/ID`.
fn is_containerd_namespace(parts: &[&[u8]], at: usize) -> bool {
    at == 1 && matches!(parts[0], b"default" | b"k8s.io")
}

/// containerd's rule for ids: letters and digits, with `-`, `_` or `.` between.
fn is_containerd_id(part: &[u8]) -> bool {
    part.len() <= 76
        && part.first().is_some_and(u8::is_ascii_alphanumeric)
        && part.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// The pod whose control group has the name at `at`.
fn pod_at(parts: &[&[u8]], at: usize) -> Option<PodId> {
    let part = str::from_utf8(parts[at]).ok()?;
    // With the systemd driver, `kubepods-burstable-podUID.slice`, below `kubelet.slice` also `kubelet-kubepods-…`; a
    // runtime with the other driver makes a name of it and the container's id.
    let slice = part.strip_suffix(".slice").or_else(|| Some(part.split_once(".slice:")?.0));
    if let Some((above, uid)) = slice.and_then(|slice| slice.rsplit_once("-pod")) {
        let (root, class) = match above.rsplit_once('-') {
            Some((root, class @ ("burstable" | "besteffort"))) => (root, class),
            _ => (above, ""),
        };
        let of_kubelet = root == "kubepods" || root.ends_with("-kubepods");
        return pod(&uid.replace('_', "-"), class).filter(|_| of_kubelet);
    }
    // With the cgroupfs driver, `kubepods/burstable/podUID`.
    let uid = part.strip_prefix("pod")?;
    let above = |up: usize| at.checked_sub(up).map_or(&b""[..], |at| parts[at]);
    match (above(2), above(1)) {
        (_, b"kubepods") => pod(uid, ""),
        (b"kubepods", b"burstable") => pod(uid, "burstable"),
        (b"kubepods", b"besteffort") => pod(uid, "besteffort"),
        _ => None,
    }
}

/// A pod, if that is a uid: a UUID, or the hash of a static pod.
fn pod(uid: &str, class: &str) -> Option<PodId> {
    let is_uid =
        matches!(uid.len(), 32 | 36) && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let qos = match class {
        "burstable" => "burstable",
        "besteffort" => "besteffort",
        _ => "guaranteed",
    };
    is_uid.then(|| PodId { uid: uid.to_owned(), qos })
}

/// Undoes systemd's escapes for characters that a unit's name cannot contain: `\x2d` is `-`.
fn unescape(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&first, after)) = rest.split_first() {
        let code = after.strip_prefix(b"x").and_then(|digits| digits.get(..2));
        let byte = code.and_then(|code| u8::from_str_radix(str::from_utf8(code).ok()?, 16).ok());
        match (first, byte) {
            (b'\\', Some(byte)) => {
                out.push(byte);
                rest = &after[3..];
            }
            _ => {
                out.push(first);
                rest = after;
            }
        }
    }
    out
}

fn text(name: &[u8]) -> String {
    Text::from(name.to_vec()).to_json().into_owned()
}

#[cfg(test)]
mod tests;
