//! Finds every network namespace that a process lives in or that a mount pins, and opens one.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::BufReader,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags},
    io::Errno,
};

use super::{mountinfo, netns_name};
use crate::{fact::NsInode, text::Text};

/// How many ways into one namespace are kept, in case a process ends before the namespace is opened.
const MAX_DOORS: usize = 4;

/// `NSFS_MAGIC`: the type of the file system whose files are namespaces.
pub(super) const NSFS: u32 = 0x6e73_6673;

/// What was found.
#[derive(Default)]
pub struct FoundNamespaces {
    /// The namespaces; the machine's own is the first.
    pub all: Vec<Namespace>,
    /// Processes whose namespace may not be read.
    pub unreadable: usize,
    /// Places in `all`.
    places: HashMap<NsInode, usize>,
}

/// A network namespace and the ways to it.
pub struct Namespace {
    /// What it is.
    pub inode: NsInode,
    /// Its name.
    pub name: Option<Text>,
    /// The ways to it.
    doors: Vec<Door>,
}

/// A way to a network namespace.
enum Door {
    /// The link of a process or thread.
    Task(PathBuf),
    /// A file of our own mount namespace.
    File(PathBuf),
    /// A mount that a process sees: its directory in /proc, and the path from its root.
    Mount { process: PathBuf, path: PathBuf },
}

/// Why a namespace could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// It is gone, which is nothing unusual.
    Gone,
    /// It exists and may not be opened.
    Refused,
}

impl FoundNamespaces {
    /// Looks for them. Processes that end meanwhile are passed over.
    ///
    /// It does not find namespaces that only an open descriptor or a socket keeps: nobody lives in them.
    pub fn find() -> Self {
        let mut found = Self::default();
        found.add_task(Path::new("/proc/1/ns/net"));
        // Without the right to look at process 1, assume that it has our own namespace.
        found.add_task(Path::new("/proc/self/ns/net"));
        found.unreadable = 0;
        let mut mount_namespaces = HashSet::new();
        let Ok(processes) = fs::read_dir("/proc") else { return found };
        for process in processes.filter_map(Result::ok) {
            if process.file_name().as_bytes().iter().all(u8::is_ascii_digit) {
                found.add_process(&process.path(), &mut mount_namespaces);
            }
        }
        for named in netns_name::named() {
            let namespace = found.add(named.inode, Door::File(named.path));
            // A name in our own mount namespace is the one that people type.
            namespace.name = Some(named.name);
        }
        found
    }

    /// Adds the namespaces in which a process and its threads live, and those mounted where it sees them.
    fn add_process(&mut self, process: &Path, mount_namespaces: &mut HashSet<NsInode>) {
        if !self.add_task(&process.join("ns/net")) {
            return;
        }
        let threads = process.join("task");
        // A directory has two links of its own, and one for each thread.
        if rustix::fs::stat(&threads).is_ok_and(|directory| directory.st_nlink > 3) {
            for thread in fs::read_dir(&threads).into_iter().flatten().filter_map(Result::ok) {
                if Some(thread.file_name().as_os_str()) != process.file_name() {
                    self.add_task(&thread.path().join("ns/net"));
                }
            }
        }
        let Some(mount_namespace) = read_link(&process.join("ns/mnt"), b"mnt") else { return };
        if mount_namespaces.contains(&mount_namespace) {
            return;
        }
        let Ok(mounts) = File::open(process.join("mountinfo")) else { return };
        let complete = mountinfo::for_each_netns(BufReader::new(mounts), |inode, path| {
            let name = netns_name::name_in(&path);
            let namespace = self.add(inode, Door::Mount { process: process.to_owned(), path });
            namespace.name = namespace.name.take().or(name);
        });
        if complete.is_ok() {
            mount_namespaces.insert(mount_namespace);
        }
    }

    /// Adds the namespace in which a task lives; false if that cannot be read.
    fn add_task(&mut self, link: &Path) -> bool {
        match rustix::fs::readlinkat(CWD, link, Vec::new()) {
            Ok(target) => {
                let Some(inode) = parse_link(target.as_bytes()) else { return false };
                self.add(inode, Door::Task(link.to_owned()));
                true
            }
            Err(Errno::ACCESS | Errno::PERM) => {
                self.unreadable += 1;
                false
            }
            Err(_) => false,
        }
    }

    fn add(&mut self, inode: NsInode, door: Door) -> &mut Namespace {
        let place = *self.places.entry(inode).or_insert(self.all.len());
        if place == self.all.len() {
            self.all.push(Namespace { inode, name: None, doors: Vec::new() });
        }
        let namespace = &mut self.all[place];
        if namespace.doors.len() < MAX_DOORS {
            namespace.doors.push(door);
        }
        namespace
    }
}

impl Namespace {
    /// Opens it. The descriptor keeps the namespace alive: it must be closed soon.
    pub fn open(&self) -> Result<OwnedFd, Closed> {
        let mut closed = Closed::Gone;
        for door in &self.doors {
            match door.open() {
                // The door may lead to another namespace by now.
                Ok(file) if inode_of(&file) == Some(self.inode) => return Ok(file),
                Ok(_) | Err(Errno::NOENT | Errno::SRCH) => {}
                Err(_) => closed = Closed::Refused,
            }
        }
        Err(closed)
    }
}

impl Door {
    fn open(&self) -> Result<OwnedFd, Errno> {
        let place = OFlags::PATH | OFlags::CLOEXEC;
        match self {
            Self::Task(link) => rustix::fs::open(link, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()),
            Self::File(path) => open_namespace(&rustix::fs::open(path, place, Mode::empty())?),
            Self::Mount { process, path } => {
                // The folders belong to a container, which may have replaced them by links to anywhere.
                let root = rustix::fs::open(process.join("root"), place, Mode::empty())?;
                let inside = path.strip_prefix("/").unwrap_or(path);
                let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
                open_namespace(&rustix::fs::openat2(&root, inside, place, Mode::empty(), resolve)?)
            }
        }
    }
}

/// Opens the file of a path descriptor, if it is a namespace: opening another file, such as a device, could have
/// effects.
fn open_namespace(place: &OwnedFd) -> Result<OwnedFd, Errno> {
    if u32::try_from(rustix::fs::fstatfs(place)?.f_type) != Ok(NSFS) {
        return Err(Errno::NOENT);
    }
    let link = format!("/proc/self/fd/{}", place.as_raw_fd());
    rustix::fs::open(link, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// Inode number of an open namespace.
pub fn inode_of(file: &OwnedFd) -> Option<NsInode> {
    let stat = rustix::fs::statat(file, "", AtFlags::EMPTY_PATH).ok()?;
    u32::try_from(stat.st_ino).ok().map(NsInode)
}

/// The network namespace in `net:[4026531840]`.
pub fn parse_link(link: &[u8]) -> Option<NsInode> {
    parse_namespace(link, b"net")
}

/// The namespace that a link such as `/proc/PID/ns/mnt` stands for; `kind` is the word before its number.
pub fn read_link(link: &Path, kind: &[u8]) -> Option<NsInode> {
    let target = rustix::fs::readlinkat(CWD, link, Vec::new()).ok()?;
    parse_namespace(target.as_bytes(), kind)
}

fn parse_namespace(link: &[u8], kind: &[u8]) -> Option<NsInode> {
    let number = link.strip_prefix(kind)?.strip_prefix(b":[")?.strip_suffix(b"]")?;
    std::str::from_utf8(number).ok()?.parse().ok().map(NsInode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_of_a_namespace_tells_its_inode() {
        assert_eq!(parse_link(b"net:[4026531840]"), Some(NsInode(4_026_531_840)));
        for broken in
            [&b"mnt:[4026531840]"[..], b"net:[", b"net:[]", b"net:[-1]", b"net:[99999999999]", b"/", b""]
        {
            assert_eq!(parse_link(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn our_own_namespace_is_found_and_can_be_opened() {
        let found = FoundNamespaces::find();
        let own = read_link(Path::new("/proc/self/ns/net"), b"net").unwrap();
        let place = found.places[&own];
        let file = found.all[place].open().unwrap();
        assert_eq!(inode_of(&file), Some(own));
    }

    #[test]
    fn what_is_not_a_namespace_is_not_opened() {
        let door = Door::File("/dev/null".into());
        assert_eq!(door.open().unwrap_err(), Errno::NOENT);
        let link = Door::Mount { process: "/proc/self".into(), path: "/proc/self/ns/net".into() };
        assert_eq!(link.open().unwrap_err(), Errno::LOOP);
    }

    #[test]
    fn a_namespace_whose_processes_ended_is_gone() {
        let door = Door::Task("/proc/4294967295/ns/net".into());
        let namespace = Namespace { inode: NsInode(1), name: None, doors: vec![door] };
        assert_eq!(namespace.open().unwrap_err(), Closed::Gone);
    }

    #[test]
    fn a_door_that_leads_elsewhere_by_now_is_not_taken() {
        let door = Door::Task("/proc/self/ns/net".into());
        let namespace = Namespace { inode: NsInode(1), name: None, doors: vec![door] };
        assert_eq!(namespace.open().unwrap_err(), Closed::Gone);
    }
}
