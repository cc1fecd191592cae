//! The network namespace that somebody asks for, by name, inode number or path.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::namespaces::NSFS;
use super::netns_name::FOLDERS;
use crate::filter::NetnsChoice;
use crate::text::Text;

/// Finds the namespace for a name, an inode number or a path. If it does not exist, that is an error: no event could
/// match.
pub fn find(asked: &OsStr) -> Result<NetnsChoice> {
    find_in(asked, &FOLDERS)
}

fn find_in(asked: &OsStr, folders: &[&str]) -> Result<NetnsChoice> {
    let shown = Text::from(asked.as_bytes().to_vec());
    let vain = || format!("--netns '{shown}' can match nothing");
    if asked.as_bytes().contains(&b'/') {
        return Ok(NetnsChoice { inode: Some(inode_of(Path::new(asked)).with_context(vain)?), name: None });
    }
    if asked.is_empty() || asked == "." || asked == ".." {
        bail!("{}: give a namespace's name, its inode number or a path", vain());
    }
    if let Some(path) = folders.iter().map(|folder| Path::new(folder).join(asked)).find(|path| path.exists())
    {
        return Ok(NetnsChoice { inode: Some(inode_of(&path).with_context(vain)?), name: Some(shown) });
    }
    if !asked.as_bytes().iter().all(u8::is_ascii_digit) {
        bail!(
            "{}: there is no such name in {}; `ip netns` lists the names, and an inode number or a path such as \
             /proc/PID/ns/net will do as well",
            vain(),
            folders.join(" or "),
        );
    }
    match asked.to_string_lossy().parse() {
        Ok(inode) if inode > 0 => Ok(NetnsChoice { inode: Some(inode), name: None }),
        _ => bail!("{}: inode numbers of namespaces go from 1 to {}", vain(), u32::MAX),
    }
}

/// The inode number of the network namespace at a path. Nothing is opened, so nothing is held.
fn inode_of(path: &Path) -> Result<u32> {
    let shown = Text::from(path.as_os_str().as_bytes().to_vec());
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => bail!("{shown} does not exist"),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            bail!("{shown} may not be looked at by this user; run it with sudo")
        }
        Err(error) => bail!("{shown} cannot be looked at: {error}"),
    };
    let on_nsfs = rustix::fs::statfs(path).is_ok_and(|fs| u32::try_from(fs.f_type) == Ok(NSFS));
    // Under /proc the kind of a namespace is in its link, such as `net:[4026531840]`; elsewhere nothing tells.
    let other_kind = fs::read_link(path).is_ok_and(|link| {
        let link = link.as_os_str().as_bytes();
        link.contains(&b'[') && !link.starts_with(b"net:[")
    });
    match u32::try_from(metadata.ino()) {
        Ok(inode) if on_nsfs && !other_kind => Ok(inode),
        _ => bail!("{shown} is not a network namespace; those of processes are /proc/PID/ns/net"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::event::Netns;

    #[test]
    fn a_namespace_is_found_by_path_and_by_name() {
        let own = fs::metadata("/proc/self/ns/net").unwrap().ino();
        let by_path = find_in(OsStr::new("/proc/self/ns/net"), &[]).unwrap();
        assert_eq!((by_path.inode.map(u64::from), &by_path.name), (Some(own), &None));

        let folder = tempfile::tempdir().unwrap();
        symlink("/proc/self/ns/net", folder.path().join("7")).unwrap();
        let by_name = find_in(OsStr::new("7"), &["/nowhere", folder.path().to_str().unwrap()]).unwrap();
        assert_eq!(by_name, NetnsChoice { inode: by_path.inode, name: Some("7".into()) });
        assert!(by_name.is(&Netns { inode: by_path.inode, name: Some("alias".into()) }));
        assert!(by_name.is(&Netns { inode: Some(1), name: Some("7".into()) }), "made anew under its name");
        assert!(!by_name.is(&Netns { inode: Some(1), name: None }));
        assert!(!by_path.is(&Netns { inode: None, name: None }));
    }

    #[test]
    fn a_namespace_that_does_not_exist_is_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("plain");
        fs::write(&plain, "").unwrap();
        for (asked, reason) in [
            ("web", "there is no such name in "),
            ("plain", "plain is not a network namespace"),
            (plain.to_str().unwrap(), "is not a network namespace"),
            ("/nowhere/net", "/nowhere/net does not exist"),
            ("/proc/self/ns/mnt", "/proc/self/ns/mnt is not a network namespace"),
            ("0", "inode numbers of namespaces go from 1"),
            ("99999999999", "inode numbers of namespaces go from 1"),
            ("", "give a namespace's name"),
            ("..", "give a namespace's name"),
        ] {
            let error = find_in(OsStr::new(asked), &[folder.path().to_str().unwrap()]).unwrap_err();
            let said = format!("{error:#}");
            assert!(said.starts_with(&format!("--netns '{asked}' can match nothing: ")), "{said}");
            assert!(said.contains(reason), "{asked}: {said}");
        }
    }
}
