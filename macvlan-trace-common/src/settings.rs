//! What user space hands down when it loads the programs.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Set once, before the programs are loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Settings {
    /// The tracer's own process id, inside its own pid namespace.
    pub own_tgid: u32,
    /// Inode number of the tracer's own pid namespace.
    pub own_pidns: u32,
    /// This kernel's value of `NETDEV_CHANGEUPPER`: 21 up to 6.1, 22 on 6.12 and later.
    pub changeupper: u32,
    /// Inode number of the machine's own network namespace, which never ends and is never watched.
    pub host_netns: u32,
    /// Where this kernel keeps `macvlan_dev.mode`.
    pub macvlan_mode: u32,
}
