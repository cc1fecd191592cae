//! Network namespaces that are pinned by a mount, as `/proc/PID/mountinfo` lists them.

use std::{
    ffi::OsString,
    io::{self, BufRead},
    os::unix::ffi::OsStringExt,
    path::PathBuf,
};

use super::namespaces::parse_link;
use crate::fact::NsInode;

/// Calls `each` with every network namespace that is mounted, and where.
pub fn for_each_netns(mut mountinfo: impl BufRead, mut each: impl FnMut(NsInode, PathBuf)) -> io::Result<()> {
    let mut line = Vec::new();
    while mountinfo.read_until(b'\n', &mut line)? > 0 {
        if let Some((inode, path)) = parse(line.trim_ascii_end()) {
            each(inode, path);
        }
        line.clear();
    }
    Ok(())
}

/// Reads one line, `36 35 0:4 net:[4026532301] /run/netns/blue rw shared:7 - nsfs nsfs rw`; `None` for a mount of
/// anything else.
fn parse(line: &[u8]) -> Option<(NsInode, PathBuf)> {
    let mut fields = line.split(|&byte| byte == b' ').skip(3);
    let inode = parse_link(fields.next()?)?;
    let path = PathBuf::from(OsString::from_vec(unescape(fields.next()?)));
    fields.skip_while(|field| *field != b"-").nth(1).filter(|kind| *kind == b"nsfs")?;
    Some((inode, path))
}

/// Undoes the kernel's escaping of space, tab, newline and backslash: `\040` and so on.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|_| byte == b'\\').and_then(|digits| {
            digits.iter().try_fold(0_u8, |value, digit| {
                let digit = digit.checked_sub(b'0').filter(|digit| *digit < 8)?;
                value.checked_mul(8)?.checked_add(digit)
            })
        });
        out.push(octal.unwrap_or(byte));
        rest = if octal.is_some() { &tail[3..] } else { tail };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> Vec<(u32, String)> {
        let mut out = Vec::new();
        for_each_netns(text, |inode, path| out.push((inode.0, path.display().to_string()))).unwrap();
        out
    }

    #[test]
    fn only_mounts_of_network_namespaces_count() {
        let text = b"\
22 27 0:21 / /proc rw,relatime - proc proc rw
36 35 0:4 net:[4026532301] /run/netns/blue rw shared:7 master:2 - nsfs nsfs rw
37 35 0:4 mnt:[4026532302] /run/snapd/ns/lxd.mnt rw - nsfs nsfs rw
38 35 0:9 net:[4026532303] /mnt/odd rw - ext4 /dev/vda rw
39 35 0:4 net:[4026532304] /run/docker/netns/9f3c rw - nsfs nsfs rw";
        assert_eq!(
            all(text),
            [(4_026_532_301, "/run/netns/blue".into()), (4_026_532_304, "/run/docker/netns/9f3c".into())]
        );
    }

    #[test]
    fn escaped_paths_are_restored() {
        assert_eq!(unescape(br"/run/a\040b\134c\012"), b"/run/a b\\c\n");
        assert_eq!(unescape(br"/run/a\04"), br"/run/a\04");
        assert_eq!(unescape(br"/run/\777\089"), br"/run/\777\089");
    }

    #[test]
    fn broken_lines_are_passed_over() {
        for line in
            [&b""[..], b"1", b"36 35 0:4 net:[] / rw - nsfs", b"36 35 0:4 net:[1] /x", b"\xff \xff \xff \xff"]
        {
            assert!(all(line).is_empty(), "{line:?}");
        }
    }
}
