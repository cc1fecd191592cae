//! Reads the runtimes' own files about a container: its name, and the pod that it belongs to.
//!
//! It asks no daemon. If a file is missing, half written, huge or not a plain file, only the id from the control
//! group's path is known. Paths are looked up inside the folder that is taken for the machine's root, and so are
//! symbolic links. Those in a user's home never lead out of it, since the user may put anything there.

use std::{
    ffi::OsStr,
    fs::File,
    io::Read as _,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Dir, FileType, Mode, OFlags, ResolveFlags, fstat, openat2},
    io::Errno,
};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    bounded::Bounded,
    cgroup::{ContainerId, place_of},
    fact::{Container, Pod},
    text::Text,
};

/// How often a container's files are looked up: at first, the runtime may not have written them yet.
const MAX_LOOKS: u8 = 3;
/// How many containers are remembered.
const MAX_REMEMBERED: usize = 16_384;
/// Larger files are not read. Podman's list of all its containers takes about a kilobyte for each container.
const MAX_FILE: u64 = 2 << 20;
/// Longer names are not valid: DNS, Kubernetes and the runtimes have lower limits.
const MAX_NAME: usize = 255;
/// How many namespaces of containerd are looked into.
const MAX_NAMESPACES: usize = 64;

/// The lists of containers, by storage driver.
const DRIVERS: [&str; 4] = ["overlay", "vfs", "btrfs", "zfs"];
/// Where containerd keeps the containers that run; k3s, k0s and MicroK8s bring their own.
const TASKS: [&str; 4] = [
    "run/containerd/io.containerd.runtime.v2.task",
    "run/k3s/containerd/io.containerd.runtime.v2.task",
    "run/k0s/containerd/io.containerd.runtime.v2.task",
    "var/snap/microk8s/common/run/containerd/io.containerd.runtime.v2.task",
];
/// Where the Docker snap keeps its files.
const SNAP_DOCKER: &str = "var/snap/docker/common/var-lib-docker";

/// The names of containers that appear while tracing.
#[derive(Debug)]
pub struct Containers {
    /// The folder that is taken for the machine's root.
    root: PathBuf,
    /// How many more times each is looked up, by user and id.
    looks: Bounded<(Option<u32>, String), u8, MAX_REMEMBERED>,
}

impl Containers {
    /// Looks below this folder.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), looks: Bounded::default() }
    }

    /// What files say about the container of a control group, if that was not returned before. Repeated calls are
    /// cheap.
    pub fn look_up_new(&mut self, cgroup: &Text) -> Option<Container> {
        let id = place_of(cgroup).container.filter(ContainerId::has_files)?;
        let looks = self.looks.get_or_insert_with((id.user, id.id.clone()), || MAX_LOOKS);
        *looks = looks.checked_sub(1)?;
        let found = find(&self.root, &id)?;
        *looks = 0;
        Some(found)
    }

    /// How many containers the limit has dropped.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.looks.evicted()
    }
}

/// What files below a root say about a container.
fn find(root: &Path, id: &ContainerId) -> Option<Container> {
    let machine = Folder::root(root)?;
    let home = match id.user {
        Some(user) => Some(machine.home_of(user)?),
        None => None,
    };
    let mut found = match (id.runtime, &home) {
        (Some("docker"), None) => machines_docker(&machine, &id.id),
        (Some("docker"), Some(home)) => docker(home, Path::new(".local/share/docker"), &id.id),
        (Some("podman"), None) => podman(&machine, Path::new("var/lib/containers/storage"), &id.id)
            .or_else(|| podman(&machine, Path::new("run/containers/storage"), &id.id)),
        (Some("podman"), Some(home)) => podman(home, Path::new(".local/share/containers/storage"), &id.id),
        (Some("cri-o"), None) => crio(&machine, &id.id),
        (Some("containerd"), None) => containerd(&machine, &id.id),
        // Several runtimes use this shape. The one that has a file about the container made it.
        (None, None) => machines_docker(&machine, &id.id).or_else(|| containerd(&machine, &id.id)),
        _ => None,
    }?;
    found.user = id.user;
    Some(found)
}

/// What Docker writes about a container, for itself or for Kubernetes.
fn docker(folder: &Folder, root: &Path, id: &str) -> Option<Container> {
    #[derive(Deserialize)]
    struct State {
        #[serde(rename = "Name")]
        name: Option<String>,
        #[serde(rename = "Config")]
        config: Option<Config>,
    }
    #[derive(Deserialize)]
    struct Config {
        #[serde(rename = "Labels")]
        labels: Option<Notes>,
    }
    let state: State = folder.json(&root.join("containers").join(id).join("config.v2.json"))?;
    let notes = state.config.and_then(|config| config.labels).unwrap_or_default();
    // The name begins with a slash, from the days when links gave a container further names.
    let name = state.name.map(|name| name.strip_prefix('/').map_or(name.clone(), str::to_owned));
    Some(told(id, "docker", notes, name))
}

/// What the machine's own Docker, not a user's, writes about a container.
fn machines_docker(machine: &Folder, id: &str) -> Option<Container> {
    docker(machine, &docker_root(machine), id).or_else(|| docker(machine, Path::new(SNAP_DOCKER), id))
}

/// Where Docker keeps its files.
fn docker_root(machine: &Folder) -> PathBuf {
    #[derive(Deserialize)]
    struct Daemon {
        #[serde(rename = "data-root")]
        data_root: Option<PathBuf>,
    }
    let daemon: Option<Daemon> = machine.json(Path::new("etc/docker/daemon.json"));
    daemon.and_then(|daemon| daemon.data_root).unwrap_or_else(|| "var/lib/docker".into())
}

/// What Podman writes about its containers; those made with `--rm` are in a list of their own.
fn podman(folder: &Folder, storage: &Path, id: &str) -> Option<Container> {
    #[derive(Deserialize)]
    struct Entry {
        id: String,
        #[serde(default)]
        names: Vec<String>,
    }
    let lists = DRIVERS.iter().flat_map(|driver| {
        ["containers.json", "volatile-containers.json"]
            .map(|list| storage.join(format!("{driver}-containers")).join(list))
    });
    lists.into_iter().find_map(|list| {
        let entries: Vec<Entry> = folder.json(&list)?;
        let entry = entries.into_iter().find(|entry| entry.id == id)?;
        Some(told(id, "podman", Notes::default(), entry.names.into_iter().next()))
    })
}

/// What CRI-O writes about a container.
fn crio(machine: &Folder, id: &str) -> Option<Container> {
    let storage = ["run/containers/storage", "var/lib/containers/storage"];
    storage.iter().find_map(|storage| {
        let bundle = Path::new(storage).join("overlay-containers").join(id).join("userdata");
        let bundle: Bundle = machine.json(&bundle.join("config.json"))?;
        Some(told(id, "cri-o", bundle.annotations?, None))
    })
}

/// What containerd writes about a container, in whichever of its namespaces that is.
fn containerd(machine: &Folder, id: &str) -> Option<Container> {
    TASKS.iter().find_map(|tasks| {
        machine.list(Path::new(tasks)).into_iter().find_map(|namespace| {
            let bundle: Bundle =
                machine.json(&Path::new(tasks).join(&namespace).join(id).join("config.json"))?;
            // Docker keeps its containers there too, without their names.
            let runtime = if namespace == "moby" { "docker" } else { "containerd" };
            Some(told(id, runtime, bundle.annotations.unwrap_or_default(), None))
        })
    })
}

/// The container that labels or annotations describe; `name` is the runtime's own name for it.
fn told(id: &str, runtime: &str, notes: Notes, name: Option<String>) -> Container {
    let sane = |text: Option<String>| text.filter(|text| !text.is_empty() && text.len() <= MAX_NAME);
    let sandbox = notes.is_sandbox();
    let [uid, namespace, pod_name] = [
        notes.pod_uid.or(notes.cri_pod_uid),
        notes.pod_namespace.or(notes.cri_pod_namespace),
        notes.pod_name.or(notes.cri_pod_name),
    ]
    .map(sane);
    let in_pod = uid.is_some() || namespace.is_some() || pod_name.is_some();
    // People know the name that Kubernetes gave it. The container that only holds a pod's namespaces has no name.
    let called = sane(notes.container_name.or(notes.cri_container_name)).or(sane(notes.nerdctl_name));
    let name = if in_pod && sandbox { None } else { called.or(sane(name)) };
    Container {
        id: id.to_owned(),
        user: None,
        runtime: Some(runtime.to_owned()),
        name,
        pod: in_pod.then_some(Pod { uid, qos: None, namespace, name: pod_name }),
    }
}

/// The configuration of a runtime, in the format of the Open Container Initiative.
#[derive(Deserialize)]
struct Bundle {
    annotations: Option<Notes>,
}

/// The labels or annotations that name a container and its pod.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Notes {
    // Docker's, by cri-dockerd, and CRI-O's.
    #[serde(rename = "io.kubernetes.container.name")]
    container_name: Option<String>,
    #[serde(rename = "io.kubernetes.pod.name")]
    pod_name: Option<String>,
    #[serde(rename = "io.kubernetes.pod.namespace")]
    pod_namespace: Option<String>,
    #[serde(rename = "io.kubernetes.pod.uid")]
    pod_uid: Option<String>,
    // containerd's.
    #[serde(rename = "io.kubernetes.cri.container-name")]
    cri_container_name: Option<String>,
    #[serde(rename = "io.kubernetes.cri.container-type")]
    cri_container_type: Option<String>,
    #[serde(rename = "io.kubernetes.cri.sandbox-name")]
    cri_pod_name: Option<String>,
    #[serde(rename = "io.kubernetes.cri.sandbox-namespace")]
    cri_pod_namespace: Option<String>,
    #[serde(rename = "io.kubernetes.cri.sandbox-uid")]
    cri_pod_uid: Option<String>,
    #[serde(rename = "nerdctl/name")]
    nerdctl_name: Option<String>,
}

impl Notes {
    /// Whether the container does nothing but hold a pod's namespaces.
    fn is_sandbox(&self) -> bool {
        self.container_name.as_deref() == Some("POD") || self.cri_container_type.as_deref() == Some("sandbox")
    }
}

/// A folder and how paths in it are looked up.
struct Folder {
    file: OwnedFd,
    resolve: ResolveFlags,
}

impl Folder {
    /// The folder that is taken for the machine's root: symbolic links in it are resolved inside it.
    fn root(path: &Path) -> Option<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::empty()).ok()?;
        Some(Self { file, resolve: ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS })
    }

    /// The home of a user. No path in it leads out of it, or to another file system that the user may have mounted.
    fn home_of(&self, user: u32) -> Option<Self> {
        let users = self.read(Path::new("etc/passwd"))?;
        let home = users.split(|&byte| byte == b'\n').find_map(|line| {
            let mut fields = line.split(|&byte| byte == b':');
            let uid = str::from_utf8(fields.nth(2)?).ok()?.parse::<u32>().ok()?;
            (uid == user).then(|| fields.nth(2)).flatten()
        })?;
        let file = self.open(Path::new(OsStr::from_bytes(home)), OFlags::PATH | OFlags::DIRECTORY).ok()?;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        Some(Self { file, resolve })
    }

    fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        openat2(self.file.as_fd(), path, flags | OFlags::CLOEXEC, Mode::empty(), self.resolve)
    }

    /// Reads a plain file, if it is not too large.
    fn read(&self, path: &Path) -> Option<Vec<u8>> {
        // If somebody put a pipe there, opening it must not block.
        let file = self.open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY).ok()?;
        let stat = fstat(&file).ok()?;
        let size = u64::try_from(stat.st_size).ok().filter(|&size| size <= MAX_FILE)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return None;
        }
        let mut content = Vec::with_capacity(usize::try_from(size).ok()?);
        File::from(file).take(MAX_FILE).read_to_end(&mut content).ok()?;
        Some(content)
    }

    fn json<T: DeserializeOwned>(&self, path: &Path) -> Option<T> {
        serde_json::from_slice(&self.read(path)?).ok()
    }

    /// The names in a folder, so many at most.
    fn list(&self, path: &Path) -> Vec<String> {
        let opened = self.open(path, OFlags::RDONLY | OFlags::DIRECTORY).and_then(Dir::new);
        let Ok(folder) = opened else { return Vec::new() };
        let names = folder
            .filter_map(Result::ok)
            .filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned));
        names.filter(|name| name != "." && name != "..").take(MAX_NAMESPACES).collect()
    }
}

#[cfg(test)]
mod tests;
