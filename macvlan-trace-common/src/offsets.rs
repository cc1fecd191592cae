//! Where this kernel keeps the fields that the programs read.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The value of an offset that this kernel lacks. The field is unknown then.
pub const MISSING: u32 = u32::MAX;

macro_rules! offsets {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Byte offsets, each named after its struct and member; [`MISSING`] where this kernel has no such member.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[repr(C)]
        pub struct Offsets {
            $($(#[$doc])* pub $name: u32,)*
        }

        impl Offsets {
            /// All offsets missing.
            pub const UNKNOWN: Self = Self { $($name: MISSING,)* };
            /// The names of the fields, in their order.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name),)*];
        }
    };
}

offsets! {
    /// `net_device.name`
    dev_name,
    /// `net_device.ifindex`
    dev_ifindex,
    /// `net_device.flags`
    dev_flags,
    /// `net_device.operstate`
    dev_operstate,
    /// `net_device.reg_state`
    dev_reg_state,
    /// `net_device.state`
    dev_state,
    /// `net_device.proto_down`
    dev_proto_down,
    /// `net_device.dismantle`
    dev_dismantle,
    /// `net_device.dev_addr`
    dev_addr,
    /// `net_device.rtnl_link_ops`
    dev_link_ops,
    /// `net_device.nd_net.net`
    dev_net,
    /// `net_device.dev.parent`
    dev_parent,
    /// `device.driver`
    device_driver,
    /// `device_driver.name`
    driver_name,
    /// `net_device.adj_list.lower`
    dev_lower,
    /// `net_device.adj_list.upper`
    dev_upper,
    /// `net_device.close_list`
    dev_close_list,
    /// Where the driver's private data starts: `net_device.priv`, or the size of the struct before 6.11.
    dev_priv,
    /// `netdev_adjacent.dev`
    adjacent_dev,
    /// `netdev_adjacent.list`
    adjacent_list,
    /// `netdev_adjacent.master`
    adjacent_master,
    /// `rtnl_link_ops.kind`
    link_ops_kind,
    /// `net_device.index_hlist`
    dev_index_node,
    /// `net.dev_index_head`
    net_index_head,
    /// `netlink_ext_ack._msg`
    extack_message,
    /// `sk_buff.sk`
    skb_sk,
    /// `sock.__sk_common.skc_net.net`
    sock_net,
    /// `in_ifaddr.ifa_dev`
    ifa_dev,
    /// `in_ifaddr.ifa_local`
    ifa_local,
    /// `in_ifaddr.ifa_prefixlen`
    ifa_prefixlen,
    /// `in_ifaddr.ifa_next`
    ifa_next,
    /// `in_device.dev`
    in_device_dev,
    /// `in_device.ifa_list`
    in_device_addrs,
    /// `inet6_ifaddr.idev`
    ifa6_dev,
    /// `inet6_ifaddr.addr`
    ifa6_addr,
    /// `inet6_ifaddr.prefix_len`
    ifa6_prefixlen,
    /// `inet6_ifaddr.if_list`
    ifa6_node,
    /// `inet6_dev.dev`
    inet6_dev_dev,
    /// `inet6_dev.addr_list`
    inet6_dev_addrs,
    /// `netdev_notifier_info.dev`
    notifier_dev,
    /// `netdev_notifier_changeupper_info.upper_dev`
    changeupper_upper,
    /// `netdev_notifier_changeupper_info.linking`
    changeupper_linking,
    /// `net.ns`
    net_ns,
    /// `net.ns.count`, or `net.count` before 5.11
    net_count,
    /// `net.net_cookie`, or `net.ns.ns_id`, or `net.hash_mix` before 5.12
    net_cookie,
    /// `net.hash_mix`
    net_hash_mix,
    /// `ns_common.inum`
    ns_inum,
    /// `task_struct.comm`
    task_comm,
    /// `task_struct.flags`
    task_flags,
    /// `task_struct.tgid`
    task_tgid,
    /// `task_struct.pid`
    task_pid,
    /// `task_struct.start_boottime`
    task_start,
    /// `task_struct.group_leader`
    task_leader,
    /// `task_struct.real_parent`
    task_parent,
    /// `task_struct.mm`
    task_mm,
    /// `task_struct.cred`
    task_cred,
    /// `task_struct.loginuid`
    task_loginuid,
    /// `task_struct.files`
    task_files,
    /// `files_struct.fdt`
    files_table,
    /// `fdtable.fd`
    table_fd,
    /// `fdtable.max_fds`
    table_size,
    /// `file.f_inode`
    file_inode,
    /// `inode.i_private`
    inode_private,
    /// `task_struct.nsproxy`
    task_nsproxy,
    /// `task_struct.thread_pid`
    task_thread_pid,
    /// `task_struct.signal`
    task_signal,
    /// `task_struct.cgroups`
    task_cgroups,
    /// `signal_struct.live`
    signal_live,
    /// `signal_struct.flags`
    signal_flags,
    /// `signal_struct.tty`
    signal_tty,
    /// `tty_struct.name`
    tty_name,
    /// `mm_struct.arg_start`
    mm_arg_start,
    /// `mm_struct.arg_end`
    mm_arg_end,
    /// `mm_struct.exe_file`
    mm_exe_file,
    /// `file.f_path.dentry`
    file_dentry,
    /// `file.f_path.mnt`
    file_mount,
    /// `dentry.d_name.name`
    dentry_name,
    /// `dentry.d_parent`
    dentry_parent,
    /// `dentry.d_hash.pprev`, which is null for a deleted file
    dentry_hashed,
    /// `vfsmount.mnt_root`
    vfsmount_root,
    /// `mount.mnt`, the `struct vfsmount`
    mount_vfsmount,
    /// `mount.mnt_parent`
    mount_parent,
    /// `mount.mnt_mountpoint`
    mount_mountpoint,
    /// `cred.uid`
    cred_uid,
    /// `nsproxy.net_ns`
    nsproxy_net,
    /// `nsproxy.mnt_ns`
    nsproxy_mnt,
    /// `mnt_namespace.ns`
    mntns_ns,
    /// `pid_namespace.ns`
    pidns_ns,
    /// `pid.level`
    pid_level,
    /// `pid.numbers`
    pid_numbers,
    /// `upid.nr`
    upid_nr,
    /// `upid.ns`
    upid_ns,
    /// The size of `struct upid`.
    upid_size,
    /// `css_set.dfl_cgrp`
    css_set_dfl,
    /// `css_set.subsys[pids]`, or of cpu: the hierarchy that names a process on cgroup v1
    css_set_v1,
    /// `cgroup_subsys_state.cgroup`
    css_cgroup,
    /// `cgroup.kn`
    cgroup_kn,
    /// `kernfs_node.name`
    kn_name,
    /// `kernfs_node.parent`, `__parent` from 6.15
    kn_parent,
    /// `kernfs_node.id`
    kn_id,
    /// `mem_cgroup.css.cgroup`
    memcg_cgroup,
    /// `oom_control.chosen`
    oom_chosen,
    /// `oom_control.memcg`
    oom_memcg,
    /// `oom_control.order`
    oom_order,
    /// `kernel_siginfo.si_code`
    siginfo_code,
}
