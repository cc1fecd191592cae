//! What every guest has besides its kernel: busybox with its applets and iproute2's `ip` with its libraries, from
//! Debian's packages, so that nothing depends on the libraries of this machine.

use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::archive::{Archive, USERLAND_SUITE};
use super::cached::{self, Recipe};
use super::initramfs::Segment;
use crate::process;
use crate::progress::Progress;

/// Directories are merged as on today's distributions.
const MERGED: [(&str, &str); 4] =
    [("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")];

/// Empty directories that programs expect. The kernel mounts nothing by itself, so mount points are here too.
const DIRECTORIES: [&str; 11] =
    ["dev", "etc", "home", "mnt", "proc", "root", "run", "sys", "tmp", "usr/local/sbin", "var/log"];

/// As systemd has it: loading a driver makes no device that nobody asked for.
const MODULE_OPTIONS: &str =
    "options dummy numdummies=0\noptions bonding max_bonds=0\noptions ifb numifbs=0\n";

const FILES: [(&str, &str); 5] = [
    ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"),
    ("etc/group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"),
    ("etc/hosts", "127.0.0.1 localhost guest\n::1 localhost\n"),
    ("etc/modprobe.d/none.conf", MODULE_OPTIONS),
    ("etc/profile", "PS1='\\u@\\h:\\w\\$ '\n"),
];

/// Applets are linked here; administration ones too, which the kernel itself looks for in /sbin.
const BUSYBOX: &str = "usr/bin/busybox";
const ADMINISTRATION: [&str; 4] = ["modprobe", "insmod", "rmmod", "depmod"];

/// The initramfs segment with the user space. It is made only once.
pub fn pack(cache: &Path, archive: &Archive<'_>, progress: &Progress) -> Result<PathBuf> {
    let segment = cache.join("userland.cpio");
    let recipe = Recipe::of(&[include_str!("userland.rs"), include_str!("initramfs.rs"), USERLAND_SUITE]);
    cached::file(&segment, &recipe, |out| {
        progress.say("guest: downloading busybox and iproute2");
        let root =
            tempfile::tempdir_in(cache).context("could not make a directory for the guest's programs")?;
        let mut packages = archive.with_dependencies("iproute2")?;
        packages.push("busybox-static".into());
        for package in &mut packages {
            *package = format!("{package}/{USERLAND_SUITE}");
        }
        archive.unpack(&packages, root.path())?;
        let mut segment = Segment::new(BufWriter::new(out));
        add_skeleton(&mut segment)?;
        add_busybox(&mut segment, root.path())?;
        add_ip(&mut segment, root.path())?;
        segment.finish()?;
        Ok(())
    })?;
    Ok(segment)
}

fn add_skeleton(segment: &mut Segment<impl std::io::Write>) -> Result<()> {
    for (link, target) in MERGED {
        segment.directory(target)?;
        segment.link(link, target)?;
    }
    for directory in DIRECTORIES {
        segment.directory(directory)?;
    }
    segment.link("var/run", "/run")?;
    for (path, content) in FILES {
        segment.bytes(path, 0o644, content.as_bytes())?;
    }
    Ok(())
}

fn add_busybox(segment: &mut Segment<impl std::io::Write>, root: &Path) -> Result<()> {
    let busybox = find(root, "busybox")?;
    segment.file(BUSYBOX, &busybox)?;
    let applets = process::output(Command::new(&busybox).arg("--list"))?;
    // iproute2's `ip` takes the place of the applet, which stays there as `busybox ip`.
    for applet in applets.lines().filter(|applet| !["busybox", "ip"].contains(applet)) {
        segment.link(&format!("usr/bin/{applet}"), "busybox")?;
    }
    for applet in ADMINISTRATION {
        segment.link(&format!("usr/sbin/{applet}"), "../bin/busybox")?;
    }
    Ok(())
}

fn add_ip(segment: &mut Segment<impl std::io::Write>, root: &Path) -> Result<()> {
    let ip = find(root, "ip")?;
    segment.file("usr/bin/ip", &ip)?;
    segment.link("usr/sbin/ip", "../bin/ip")?;
    let loader = root.join("usr/lib64/ld-linux-x86-64.so.2");
    segment.file("usr/lib64/ld-linux-x86-64.so.2", &loader)?;
    let libraries = root.join("usr/lib/x86_64-linux-gnu");
    // Their own loader resolves them: it needs nothing of this machine but the kernel.
    let list =
        process::output(Command::new(&loader).arg("--library-path").arg(&libraries).arg("--list").arg(&ip))?;
    for library in resolved_libraries(&list) {
        let name = Path::new(library).file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("{library} is no library's path"))?;
        segment.file(&format!("usr/lib/x86_64-linux-gnu/{name}"), Path::new(library))?;
    }
    Ok(())
}

/// The paths in the loader's list: `libmnl.so.0 => /path/libmnl.so.0 (0x00007f…)`.
fn resolved_libraries(list: &str) -> impl Iterator<Item = &str> {
    list.lines()
        .filter_map(|line| line.split_once(" => "))
        .filter_map(|(_, rest)| rest.rsplit_once(" (").map(|(path, _)| path))
        .filter(|path| !path.ends_with("/ld-linux-x86-64.so.2"))
}

fn find(root: &Path, program: &str) -> Result<PathBuf> {
    ["usr/bin", "bin", "usr/sbin", "sbin"]
        .iter()
        .map(|directory| root.join(directory).join(program))
        .find(|path| path.is_file())
        .with_context(|| format!("Debian's packages for the guest hold no {program}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaders_list_names_the_libraries() {
        let list = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                    \tlibmnl.so.0 => /some where/libmnl.so.0 (0x00007f01)\n\
                    \t/lib64/ld-linux-x86-64.so.2 => /some/lib64/ld-linux-x86-64.so.2 (0x00007f02)\n";
        assert_eq!(resolved_libraries(list).collect::<Vec<_>>(), ["/some where/libmnl.so.0"]);
    }
}
