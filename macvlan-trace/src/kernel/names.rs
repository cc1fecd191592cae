//! Names for the kernel's numbers.

/// `SIGTERM`, `SIGRTMIN+3`, or the number of a signal without a name.
#[must_use]
pub fn signal(number: u32) -> String {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
        "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
        "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    match (number as usize).checked_sub(1).and_then(|at| NAMES.get(at)) {
        Some(name) => format!("SIG{name}"),
        // As the C library counts: it keeps the first two real-time signals for itself.
        None if number >= 34 => format!("SIGRTMIN+{}", number - 34),
        None => format!("signal {number}"),
    }
}

/// `EBUSY`, or the number of an error that has no name here: errors of making a link and setting it up,
/// from
/// include/uapi/asm-generic/errno.h.
#[must_use]
pub fn errno(error: u32) -> String {
    let name = match error {
        1 => "EPERM",
        2 => "ENOENT",
        7 => "E2BIG",
        11 => "EAGAIN",
        12 => "ENOMEM",
        16 => "EBUSY",
        17 => "EEXIST",
        19 => "ENODEV",
        22 => "EINVAL",
        23 => "ENFILE",
        28 => "ENOSPC",
        34 => "ERANGE",
        36 => "ENAMETOOLONG",
        75 => "EOVERFLOW",
        95 => "EOPNOTSUPP",
        98 => "EADDRINUSE",
        99 => "EADDRNOTAVAIL",
        100 => "ENETDOWN",
        132 => "ERFKILL",
        _ => return format!("error {error}"),
    };
    name.to_owned()
}

/// `enum macvlan_mode`, include/uapi/linux/if_link.h.
#[must_use]
pub fn macvlan_mode(mode: u32) -> Option<&'static str> {
    Some(match mode {
        1 => "private",
        2 => "vepa",
        4 => "bridge",
        8 => "passthru",
        16 => "source",
        _ => return None,
    })
}

/// `IF_OPER_*`, include/uapi/linux/if.h.
#[must_use]
pub fn operstate(state: u8) -> Option<&'static str> {
    Some(match state {
        0 => "unknown",
        1 => "notpresent",
        2 => "down",
        3 => "lowerlayerdown",
        4 => "testing",
        5 => "dormant",
        6 => "up",
        _ => return None,
    })
}

/// `IFF_*`, include/uapi/linux/if.h, those of the first word that a link shows.
pub fn link_flags(flags: u32) -> impl Iterator<Item = &'static str> {
    const NAMES: [(u32, &str); 13] = [
        (0x1, "UP"),
        (0x2, "BROADCAST"),
        (0x4, "DEBUG"),
        (0x8, "LOOPBACK"),
        (0x10, "POINTOPOINT"),
        (0x40, "RUNNING"),
        (0x80, "NOARP"),
        (0x100, "PROMISC"),
        (0x200, "ALLMULTI"),
        (0x400, "MASTER"),
        (0x800, "SLAVE"),
        (0x1000, "MULTICAST"),
        (0x1_0000, "LOWER_UP"),
    ];
    NAMES.into_iter().filter(move |(bit, _)| flags & bit != 0).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_the_names_that_kill_l_lists() {
        let names = [1, 9, 15, 31, 34, 37, 64].map(signal);
        assert_eq!(
            names,
            ["SIGHUP", "SIGKILL", "SIGTERM", "SIGSYS", "SIGRTMIN+0", "SIGRTMIN+3", "SIGRTMIN+30"]
        );
    }

    #[test]
    fn a_number_without_a_name_stays_a_number() {
        assert_eq!([signal(0), signal(32)], ["signal 0", "signal 32"]);
        assert_eq!(errno(5), "error 5");
        assert_eq!((macvlan_mode(3), operstate(7)), (None, None));
        assert_eq!(link_flags(0x8000_0020).count(), 0);
    }
}
