//! The table of fields: how to find each offset that the programs need, on every kernel.

use macvlan_trace_common::{MISSING, Offsets};

use super::parse::Btf;

/// Where an offset may come from.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// A member of a struct.
    Member(&'static str, &'static str),
    /// A member that is a plain number, no struct around one.
    Number(&'static str, &'static str),
    /// The size of a struct.
    Size(&'static str),
    /// The element of an array of pointers whose index is a constant of an enum.
    Element(&'static str, &'static str, &'static str, &'static str),
}

use Place::{Element, Member, Number, Size};

/// One offset.
pub struct Field {
    /// Its name in [`Offsets`].
    pub name: &'static str,
    /// Where to look, in order: fields get renamed.
    pub places: &'static [Place],
    /// Whether it is required; without an optional one, its value is unknown.
    pub required: bool,
    slot: fn(&mut Offsets) -> &mut u32,
}

macro_rules! fields {
    ($($need:ident $name:ident: $($place:expr),+;)*) => {
        /// Every offset.
        pub const FIELDS: &[Field] = &[$(Field {
            name: stringify!($name),
            places: &[$($place),+],
            required: need!($need),
            slot: |offsets| &mut offsets.$name,
        },)*];
    };
}

macro_rules! need {
    (required) => {
        true
    };
    (optional) => {
        false
    };
}

fields! {
    required dev_name: Member("net_device", "name");
    required dev_ifindex: Member("net_device", "ifindex");
    required dev_flags: Member("net_device", "flags");
    optional dev_operstate: Member("net_device", "operstate");
    required dev_reg_state: Member("net_device", "reg_state");
    optional dev_state: Member("net_device", "state");
    optional dev_proto_down: Number("net_device", "proto_down");
    required dev_dismantle: Member("net_device", "dismantle");
    optional dev_addr: Member("net_device", "dev_addr");
    required dev_link_ops: Member("net_device", "rtnl_link_ops");
    required dev_net: Member("net_device", "nd_net.net");
    optional dev_parent: Member("net_device", "dev.parent");
    optional device_driver: Member("device", "driver");
    optional driver_name: Member("device_driver", "name");
    required dev_lower: Member("net_device", "adj_list.lower");
    required dev_upper: Member("net_device", "adj_list.upper");
    optional dev_close_list: Member("net_device", "close_list");
    optional dev_priv: Member("net_device", "priv"), Size("net_device");
    required adjacent_dev: Member("netdev_adjacent", "dev");
    required adjacent_list: Member("netdev_adjacent", "list");
    optional adjacent_master: Member("netdev_adjacent", "master");
    required link_ops_kind: Member("rtnl_link_ops", "kind");
    optional dev_index_node: Member("net_device", "index_hlist");
    optional net_index_head: Member("net", "dev_index_head");
    optional extack_message: Member("netlink_ext_ack", "_msg");
    optional skb_sk: Member("sk_buff", "sk");
    optional sock_net: Member("sock", "__sk_common.skc_net.net");
    optional ifa_dev: Member("in_ifaddr", "ifa_dev");
    optional ifa_local: Member("in_ifaddr", "ifa_local");
    optional ifa_prefixlen: Member("in_ifaddr", "ifa_prefixlen");
    optional ifa_next: Member("in_ifaddr", "ifa_next");
    optional in_device_dev: Member("in_device", "dev");
    optional in_device_addrs: Member("in_device", "ifa_list");
    optional ifa6_dev: Member("inet6_ifaddr", "idev");
    optional ifa6_addr: Member("inet6_ifaddr", "addr");
    optional ifa6_prefixlen: Member("inet6_ifaddr", "prefix_len");
    optional ifa6_node: Member("inet6_ifaddr", "if_list");
    optional inet6_dev_dev: Member("inet6_dev", "dev");
    optional inet6_dev_addrs: Member("inet6_dev", "addr_list");
    required notifier_dev: Member("netdev_notifier_info", "dev");
    required changeupper_upper: Member("netdev_notifier_changeupper_info", "upper_dev");
    required changeupper_linking: Member("netdev_notifier_changeupper_info", "linking");
    required net_ns: Member("net", "ns");
    optional net_count: Member("net", "ns.count"), Member("net", "ns.__ns_ref"), Member("net", "count");
    // Before 5.12 the cookie is an `atomic64_t` that is 0 until somebody asks for it (`__net_gen_cookie`), so it does not
    // tell namespaces apart.
    optional net_cookie: Number("net", "net_cookie"), Member("net", "ns.ns_id"), Member("net", "hash_mix");
    optional net_hash_mix: Member("net", "hash_mix");
    required ns_inum: Member("ns_common", "inum");
    required task_comm: Member("task_struct", "comm");
    required task_flags: Member("task_struct", "flags");
    required task_tgid: Member("task_struct", "tgid");
    required task_pid: Member("task_struct", "pid");
    optional task_start: Member("task_struct", "start_boottime");
    required task_leader: Member("task_struct", "group_leader");
    optional task_parent: Member("task_struct", "real_parent");
    optional task_mm: Member("task_struct", "mm");
    optional task_cred: Member("task_struct", "cred");
    optional task_loginuid: Member("task_struct", "loginuid");
    optional task_files: Member("task_struct", "files");
    optional files_table: Member("files_struct", "fdt");
    optional table_fd: Member("fdtable", "fd");
    optional table_size: Member("fdtable", "max_fds");
    optional file_inode: Member("file", "f_inode");
    optional inode_private: Member("inode", "i_private");
    required task_nsproxy: Member("task_struct", "nsproxy");
    optional task_thread_pid: Member("task_struct", "thread_pid");
    optional task_signal: Member("task_struct", "signal");
    optional task_cgroups: Member("task_struct", "cgroups");
    optional signal_live: Member("signal_struct", "live");
    optional signal_flags: Member("signal_struct", "flags");
    optional signal_tty: Member("signal_struct", "tty");
    optional tty_name: Member("tty_struct", "name");
    optional mm_arg_start: Member("mm_struct", "arg_start");
    optional mm_arg_end: Member("mm_struct", "arg_end");
    optional mm_exe_file: Member("mm_struct", "exe_file");
    optional file_dentry: Member("file", "f_path.dentry");
    optional file_mount: Member("file", "f_path.mnt");
    optional dentry_name: Member("dentry", "d_name.name");
    optional dentry_parent: Member("dentry", "d_parent");
    optional dentry_hashed: Member("dentry", "d_hash.pprev");
    optional vfsmount_root: Member("vfsmount", "mnt_root");
    optional mount_vfsmount: Member("mount", "mnt");
    optional mount_parent: Member("mount", "mnt_parent");
    optional mount_mountpoint: Member("mount", "mnt_mountpoint");
    optional cred_uid: Member("cred", "uid");
    required nsproxy_net: Member("nsproxy", "net_ns");
    optional nsproxy_mnt: Member("nsproxy", "mnt_ns");
    optional mntns_ns: Member("mnt_namespace", "ns");
    optional pidns_ns: Member("pid_namespace", "ns");
    optional pid_level: Member("pid", "level");
    optional pid_numbers: Member("pid", "numbers");
    optional upid_nr: Member("upid", "nr");
    optional upid_ns: Member("upid", "ns");
    optional upid_size: Size("upid");
    optional css_set_dfl: Member("css_set", "dfl_cgrp");
    optional css_set_v1: Element("css_set", "subsys", "cgroup_subsys_id", "pids_cgrp_id"),
        Element("css_set", "subsys", "cgroup_subsys_id", "cpu_cgrp_id");
    optional css_cgroup: Member("cgroup_subsys_state", "cgroup");
    optional cgroup_kn: Member("cgroup", "kn");
    optional kn_name: Member("kernfs_node", "name");
    optional kn_parent: Member("kernfs_node", "parent"), Member("kernfs_node", "__parent");
    optional kn_id: Member("kernfs_node", "id");
    optional memcg_cgroup: Member("mem_cgroup", "css.cgroup");
    optional oom_chosen: Member("oom_control", "chosen");
    optional oom_memcg: Member("oom_control", "memcg");
    optional oom_order: Member("oom_control", "order");
    optional siginfo_code: Member("kernel_siginfo", "si_code");
}

/// The enum of the notifier's events, and the constant whose value changed.
const CHANGEUPPER: (&str, &str) = ("netdev_cmd", "NETDEV_CHANGEUPPER");

/// Where `macvlan_dev.mode` is (include/linux/if_macvlan.h, which no BTF of vmlinux describes) on the kernels from 5.8
/// to 7.3, if a `netdevice_tracker`, which stands in front of it since 5.17, takes no room.
const MACVLAN_MODE: u32 = 112;

/// Size of a `netdevice_tracker`: a pointer on kernels built with `CONFIG_NET_DEV_REFCNT_TRACKER`, else nothing. In
/// `netdev_adjacent`, it stands between two members.
fn tracker(btf: &Btf) -> u32 {
    let at = |member| btf.offset("netdev_adjacent", member);
    match (at("dev_tracker"), at("master")) {
        (Some(tracker), Some(next)) => next.saturating_sub(tracker),
        _ => 0,
    }
}

/// The offsets that a kernel's types give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The offsets, with [`MISSING`] where there is none.
    pub offsets: Offsets,
    /// The value of `NETDEV_CHANGEUPPER`.
    pub changeupper: Option<u32>,
    /// Where `macvlan_dev.mode` is.
    pub macvlan_mode: u32,
    /// Names of the required ones that are missing.
    pub missing: Vec<&'static str>,
    /// Names of the optional ones that are missing.
    pub unknown: Vec<&'static str>,
}

/// The names of all structs and enums that the table looks into.
pub fn names() -> Vec<&'static str> {
    let mut names = vec![CHANGEUPPER.0];
    for place in FIELDS.iter().flat_map(|field| field.places) {
        match place {
            Member(name, _) | Number(name, _) | Size(name) => names.push(name),
            Element(name, _, list, _) => names.extend([*name, *list]),
        }
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// Looks every field up.
#[must_use]
pub fn resolve(btf: &Btf) -> Resolved {
    let mut resolved = Resolved {
        offsets: Offsets::UNKNOWN,
        changeupper: btf.constant(CHANGEUPPER.0, CHANGEUPPER.1),
        macvlan_mode: MACVLAN_MODE + tracker(btf),
        missing: Vec::new(),
        unknown: Vec::new(),
    };
    for field in FIELDS {
        let found = field.places.iter().find_map(|place| match *place {
            Member(name, path) => btf.offset(name, path),
            Number(name, path) => btf.offset_of_number(name, path),
            Size(name) => btf.size(name),
            Element(name, array, list, constant) => {
                Some(btf.offset(name, array)? + btf.constant(list, constant)? * 8)
            }
        });
        *(field.slot)(&mut resolved.offsets) = found.unwrap_or(MISSING);
        if found.is_none() {
            let list = if field.required { &mut resolved.missing } else { &mut resolved.unknown };
            list.push(field.name);
        }
    }
    if resolved.changeupper.is_none() {
        resolved.missing.push("NETDEV_CHANGEUPPER");
    }
    resolved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_offset_once_and_in_order() {
        let names: Vec<_> = FIELDS.iter().map(|field| field.name).collect();
        assert_eq!(names, Offsets::NAMES);
    }
}
