//! The names of network namespaces: files in the folders of `ip netns` and of the runtimes.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use crate::{
    bounded::Bounded,
    fact::{Netns, NsInode},
    text::Text,
};

/// Where the names are; the first that knows a namespace wins. Podman, CNI and CRI-O use the folder of `ip netns`.
pub(super) const FOLDERS: [&str; 2] = ["/run/netns", "/run/docker/netns"];

/// How often the name of a namespace is looked up: `ip netns attach` can name one that already has links.
const MAX_LOOKS: u8 = 3;

/// How many namespaces are remembered.
const MAX_REMEMBERED: usize = 16_384;

/// The names of namespaces that appear while tracing.
#[derive(Debug, Default)]
pub struct Names {
    /// How many more times each is looked up.
    looks: Bounded<Netns, u8, MAX_REMEMBERED>,
}

impl Names {
    /// The name of a namespace, if it has one that was not returned before. Repeated calls are cheap.
    pub fn look_up_new(&mut self, netns: &Netns) -> Option<Text> {
        let inode = netns.inode?;
        let looks = self.looks.get_or_insert_with(*netns, || MAX_LOOKS);
        *looks = looks.checked_sub(1)?;
        let name = name_of(inode)?;
        *looks = 0;
        Some(name)
    }

    /// A namespace has ended: the next one at its address has a name of its own.
    pub fn ended(&mut self, netns: &Netns) {
        self.looks.remove(netns);
    }

    /// How many namespaces the limit has dropped.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.looks.evicted()
    }
}

/// The name of a namespace, as in `ip netns`, or as its runtime calls it.
///
/// It costs one `stat` for each named namespace of the machine.
#[must_use]
pub fn name_of(inode: NsInode) -> Option<Text> {
    named().find_map(|named| (named.inode == inode).then_some(named.name))
}

/// A namespace with a name.
pub(super) struct Named {
    /// The namespace.
    pub inode: NsInode,
    /// The file that pins it.
    pub path: PathBuf,
    /// Its name.
    pub name: Text,
}

/// Every namespace with a name.
pub(super) fn named() -> impl Iterator<Item = Named> {
    // All namespaces are files of one file system; another file can have the same inode number.
    let nsfs = fs::metadata("/proc/self/ns/net").ok().map(|own| own.dev());
    FOLDERS.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().filter_map(Result::ok).filter_map(
        move |entry| {
            let path = entry.path();
            // A link to /proc/PID/ns/net is a common way to name a container's namespace: follow it.
            let file = fs::metadata(&path).ok().filter(|file| Some(file.dev()) == nsfs)?;
            let inode = NsInode(u32::try_from(file.ino()).ok()?);
            Some(Named { inode, name: name_in(&path)?, path })
        },
    )
}

/// The name that a path gives to a namespace: that of a file in a folder `netns`.
pub(super) fn name_in(path: &Path) -> Option<Text> {
    let folder = path.parent()?;
    // Docker uses this name for the namespace that it runs in; people do not call the machine's own so.
    if folder.file_name() != Some(OsStr::new("netns")) || path.ends_with("docker/netns/default") {
        return None;
    }
    Some(Text::from(path.file_name()?.as_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_a_folder_netns_names_a_namespace() {
        let name = |path: &str| name_in(Path::new(path));
        assert_eq!(name("/run/netns/blue"), Some(Text::from("blue")));
        assert_eq!(name("/var/run/docker/netns/9f3c01d2"), Some(Text::from("9f3c01d2")));
        assert_eq!(name("/run/user/1000/netns/netns-7d1c"), Some(Text::from("netns-7d1c")));
    }

    #[test]
    fn other_files_do_not() {
        let name = |path: &str| name_in(Path::new(path));
        assert_eq!(name("/run/snapd/ns/lxd.mnt"), None);
        assert_eq!(name("/run/docker/netns/default"), None);
        assert_eq!(name("/"), None);
    }

    #[test]
    fn a_namespace_is_not_looked_for_for_ever() {
        let mut names = Names::default();
        let nameless = Netns { ptr: 1, cookie: None, inode: Some(NsInode(1)) };
        for _ in 0..10 {
            assert_eq!(names.look_up_new(&nameless), None);
        }
        assert_eq!(names.looks.get(&nameless), Some(&0));
        names.ended(&nameless);
        names.look_up_new(&nameless);
        assert!(
            names.looks.get(&nameless).is_some_and(|looks| *looks > 0),
            "the next one at its address is looked for anew"
        );
        assert_eq!(names.look_up_new(&Netns { inode: None, ..nameless }), None);
        assert_eq!(names.looks.len(), 1);
    }

    #[test]
    fn a_namespace_without_a_name_has_none() {
        assert_eq!(name_of(NsInode(1)), None);
    }
}
