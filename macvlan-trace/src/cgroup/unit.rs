//! The systemd unit that a control group belongs to.

use crate::text::Text;

/// Suffixes of the units that hold processes.
const SUFFIXES: [&[u8]; 2] = [b".service", b".scope"];

/// The innermost service or scope of a path, unescaped as systemd escapes a name that would clash with a control file
/// (`_` in front); `None` if the path has none.
#[must_use]
pub fn unit_of(path: &Text) -> Option<Text> {
    path.as_bytes()
        .split(|&byte| byte == b'/')
        .rev()
        .find(|name| SUFFIXES.iter().any(|suffix| name.len() > suffix.len() && name.ends_with(suffix)))
        .map(|name| Text::from(name.strip_prefix(b"_").unwrap_or(name).to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_unit_counts() {
        for (path, unit) in [
            ("/system.slice/docker.service", Some("docker.service")),
            ("/user.slice/user-1000.slice/user@1000.service/app.slice/app-a.scope", Some("app-a.scope")),
            ("/system.slice/containerd.service/kubepods-pod1.slice", Some("containerd.service")),
            ("/user.slice/user-0.slice/session-3.scope", Some("session-3.scope")),
            ("/system.slice/system-a\\x2db.slice/a\\x2db@1.service", Some("a\\x2db@1.service")),
            ("/", None),
            ("/docker/9f3", None),
            ("/.service", None),
        ] {
            assert_eq!(unit_of(&Text::from(path)), unit.map(Text::from), "{path}");
        }
    }
}
