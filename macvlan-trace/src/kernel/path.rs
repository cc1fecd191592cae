//! Answers questions about a kernel path, by the functions on it.
//!
//! All names of kernel functions that verdicts depend on are here, in one table of questions. `macvlan-trace check`
//! shows which of them a kernel has; a kernel test checks each kernel of the matrix.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Prefixes of the name of a system call: `__SYSCALL_DEFINEx` of include/linux/syscalls.h, and asm/syscall_wrapper.h of
/// each architecture.
const SYSTEM_CALL: [&str; 5] = ["__do_sys_", "__se_sys_", "__x64_sys_", "__ia32_sys_", "__arm64_sys_"];

/// The functions that called one another. A copy shares them: many facts have the same path.
#[derive(Clone)]
pub struct Path(Arc<Inner>);

struct Inner {
    functions: Functions,
    /// A bit for each question to which the answer is yes.
    answers: u32,
}

/// Innermost first; `None` for one without a name.
pub type Functions = Box<[Option<Box<str>>]>;

impl Path {
    /// The path of these functions, innermost first.
    #[must_use]
    pub fn new(functions: Functions) -> Self {
        let is_on_it = |question: &&Question| {
            let names = functions.iter().flatten();
            names.into_iter().any(|symbol| question.functions.iter().any(|function| function.is(symbol)))
        };
        let answers = QUESTIONS
            .iter()
            .zip(0..)
            .filter(|(question, _)| is_on_it(question))
            .fold(0, |answers, (_, bit)| answers | 1 << bit);
        Self(Arc::new(Inner { functions, answers }))
    }

    /// The functions, innermost first; `None` for one without a name.
    #[must_use]
    pub fn functions(&self) -> &[Option<Box<str>>] {
        &self.0.functions
    }

    /// Whether any function on it has a name.
    #[must_use]
    pub fn has_names(&self) -> bool {
        self.functions().iter().any(Option::is_some)
    }

    /// The kinds of the devices that were deleted because the device below was, one for each time that this happened on
    /// the path. Each such device may take along what stands on it.
    #[must_use]
    pub fn deletions_passed_on(&self) -> Vec<&'static str> {
        let notifiers = QUESTIONS[Index::passes_deletion_on as usize].functions;
        let passes_on = |symbol: &str| notifiers.iter().find(|function| function.is(symbol))?.module;
        let modules = self.functions().iter().flatten().filter_map(|symbol| passes_on(symbol));
        modules.map(|module| if module == "8021q" { "vlan" } else { module }).collect()
    }

    fn answers(&self, question: Index) -> bool {
        self.0.answers & 1 << question as u32 != 0
    }
}

impl Default for Path {
    /// A path of which nothing is known.
    fn default() -> Self {
        Self::new(Functions::default())
    }
}

impl<'a> FromIterator<Option<&'a str>> for Path {
    fn from_iter<I: IntoIterator<Item = Option<&'a str>>>(functions: I) -> Self {
        Self::new(functions.into_iter().map(|function| function.map(Box::from)).collect())
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.functions().fmt(f)
    }
}

impl PartialEq for Path {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.functions() == other.functions()
    }
}

impl Eq for Path {}

impl Hash for Path {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.functions().hash(state);
    }
}

impl Serialize for Path {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.functions().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Functions::deserialize(deserializer).map(Self::new)
    }
}

/// What a verdict asks about a path. The answer is yes if one of the functions is on it.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Name of the method of [`Path`] that asks it.
    pub name: &'static str,
    /// The functions. No kernel has all of them, and none needs to.
    pub functions: &'static [Function],
    /// What macvlan-trace does not see on a kernel that has none of them: the end of a sentence.
    pub unseen: &'static str,
}

/// A kernel function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name; of a system call, the name that programs know.
    pub name: &'static str,
    /// The module that it is in, if that may be absent.
    pub module: Option<&'static str>,
    is_system_call: bool,
}

const fn function(name: &'static str) -> Function {
    Function { name, module: None, is_system_call: false }
}

const fn of_module(module: &'static str, name: &'static str) -> Function {
    Function { name, module: Some(module), is_system_call: false }
}

const fn system_call(name: &'static str) -> Function {
    Function { name, module: None, is_system_call: true }
}

impl Function {
    /// The symbols that it may have, without the compiler's suffixes.
    pub fn symbols(&self) -> impl Iterator<Item = String> {
        let prefixes: &[&str] = if self.is_system_call { &SYSTEM_CALL } else { &[""] };
        prefixes.iter().map(|prefix| format!("{prefix}{}", self.name))
    }

    /// Whether a symbol is this function's.
    #[must_use]
    pub fn is(&self, symbol: &str) -> bool {
        let name = name_of(symbol);
        if self.is_system_call {
            SYSTEM_CALL.iter().any(|prefix| name.strip_prefix(prefix) == Some(self.name))
        } else {
            name == self.name
        }
    }
}

/// The function of a symbol, which may be a part or a copy of it that the compiler has split off (`do_softirq.part.0`,
/// `do_setlink.isra.0`).
#[must_use]
pub fn name_of(symbol: &str) -> &str {
    symbol.split('.').next().unwrap_or_default()
}

/// Makes the table, and a method of [`Path`] for each row.
macro_rules! questions {
    ($($(#[$doc:meta])* $name:ident: [$($function:expr),* $(,)?], unseen: $unseen:literal;)*) => {
        /// All questions.
        pub const QUESTIONS: &[Question] = &[
            $(Question {
                name: stringify!($name),
                functions: const { &[$($function),*] },
                unseen: $unseen,
            }),*
        ];

        /// The place of each in that table.
        #[derive(Clone, Copy)]
        #[expect(non_camel_case_types, reason = "they are the names of the methods")]
        enum Index { $($name),* }

        const _: () = assert!(QUESTIONS.len() <= u32::BITS as usize);

        impl Path {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name(&self) -> bool {
                    self.answers(Index::$name)
                }
            )*
        }
    };
}

questions! {
    /// Whether it runs in an interrupt on top of the current task: a softirq, or the interrupt of a device.
    is_interrupted: [
        // `handle_softirqs` from 6.10 on, `__do_softirq` before, which is `__softirqentry_text_start` by its section's
        // name.
        function("handle_softirqs"),
        function("__do_softirq"),
        function("__softirqentry_text_start"),
        function("do_softirq"),
        function("do_softirq_own_stack"), // 5.10
        function("irq_exit_rcu"),
        function("__irq_exit_rcu"), // inlined on 5.10
        function("net_rx_action"),
        function("rcu_core"),
        function("rcu_do_batch"), // inlined on 5.10
        function("handle_irq_event"),
        function("handle_irq_event_percpu"),
        function("__handle_irq_event_percpu"),
        // x86.
        function("common_interrupt"),
        function("__common_interrupt"), // inlined on 5.10
        function("asm_common_interrupt"),
        // arm64; `el1_irq` on older kernels.
        function("el1_interrupt"),
        function("el1_irq"),
    ], unseen: "that it is in an interrupt, and may blame the task that was interrupted";

    /// Whether it unmounts something.
    unmounts: [
        function("cleanup_mnt"),
        function("__cleanup_mnt"),
        function("mntput_no_expire"), // up to 6.18
        function("mntput_no_expire_slowpath"), // 7.x
        function("namespace_unlock"),
        function("put_mnt_ns"),
    ], unseen: "that a network namespace ends because it is unmounted";

    /// Whether a file is closed.
    closes_file: [
        function("__fput"),
        function("____fput"),
        function("__fput_sync"),
        function("fput_close_sync"), // on 6.18, and not yet on 6.12
    ], unseen: "that a network namespace ends because its last descriptor is closed";

    /// Whether a task ends.
    exits: [
        function("do_exit"),
    ], unseen: "that a network namespace or a TAP device ends because a task does";

    /// Whether a task changes its namespaces.
    switches_namespaces: [
        function("switch_task_namespaces"),
        function("ksys_unshare"),
        system_call("unshare"),
        system_call("setns"),
    ], unseen: "that a network namespace ends because its last process leaves it";

    /// Whether the worker that tears network namespaces down is at work.
    tears_down_netns: [
        function("cleanup_net"),
    ], unseen: "that a link goes with its network namespace, where it did not see that end";

    /// Whether a link is made: if one is deleted on that path, its creation is undone. `ip link set` passes here too,
    /// since it sends RTM_NEWLINK.
    makes_link: [
        function("rtnl_newlink"),
        function("__rtnl_newlink"), // up to 6.12
        function("rtnl_newlink_create"), // split off later, and inlined in Debian's kernels
        of_module("macvlan", "macvlan_common_newlink"),
        of_module("ipvlan", "ipvlan_link_new"),
    ], unseen: "that a link is deleted because its creation failed";

    /// Whether a kind of link is unregistered with all its links, since its driver is unloaded.
    unregisters_kind: [
        function("rtnl_link_unregister"),
        function("__rtnl_link_unregister"), // up to 6.12
    ], unseen: "that the driver of a link is unloaded";

    /// Whether a kernel module is unloaded.
    unloads_module: [
        system_call("delete_module"),
    ], unseen: "that a parent goes because a kernel module is unloaded";

    /// Whether sysfs was told to take a device from its driver.
    unbinds_driver: [
        function("unbind_store"),
    ], unseen: "that a parent goes because its device is unbound from its driver";

    /// Whether sysfs was told to remove a device from its bus: PCI, or USB.
    removes_device: [
        function("remove_store"),
    ], unseen: "that a parent goes because its device is removed from its bus";

    /// Whether virtual functions of a card are removed, as before every change of their number.
    removes_vfs: [
        function("sriov_numvfs_store"),
        // A function that this calls, nearer to the deletion: a path is cut after some frames.
        function("pci_disable_sriov"),
        function("sriov_disable"),
        function("pci_iov_remove_virtfn"),
    ], unseen: "that a parent goes because virtual functions are removed";

    /// Whether a driver releases its device, as when that is unplugged.
    releases_device: [
        function("device_release_driver_internal"),
        function("device_release_driver"),
        function("__device_release_driver"), // 5.10, inlined later
        function("pci_device_remove"),
        function("pci_stop_and_remove_bus_device"),
        function("virtio_dev_remove"),
        of_module("usbcore", "usb_disconnect"),
        of_module("usbcore", "usb_unbind_interface"),
    ], unseen: "that a parent is unplugged";

    /// Whether a tun or tap device is deleted because its descriptor is closed.
    closes_tun: [
        of_module("tun", "tun_chr_close"),
        of_module("tun", "__tun_detach"),
        of_module("tun", "tun_detach"), // inlined in Debian's kernels
    ], unseen: "that a TUN or TAP device goes because it is closed";

    /// Whether VLANs go down or come up with their device; on 7.x a worker does that.
    takes_vlans_along: [
        of_module("8021q", "vlan_device_event"),
        of_module("8021q", "vlan_dev_work"), // 7.x
    ], unseen: "that a VLAN goes down with the device below it";

    /// Whether a device may be deleted because the one below is. The notifiers of links are not among them.
    passes_deletion_on: [
        of_module("8021q", "vlan_device_event"),
        of_module("vxlan", "vxlan_netdevice_event"),
        of_module("macsec", "macsec_notify"),
    ], unseen: "that a parent is deleted with a device below it";

    /// Whether one end of a veth goes down, so that the other loses its carrier.
    closes_veth: [
        of_module("veth", "veth_close"),
    ], unseen: "that a veth loses its carrier because its other end goes down";

    /// Whether somebody sets or clears protodown, which takes the carrier of a device away and gives it back.
    sets_protodown: [
        function("dev_change_proto_down"),
        function("netif_change_proto_down"), // 6.18, the body of `dev_change_proto_down`
        function("dev_change_proto_down_generic"), // 5.10
    ], unseen: "that a link loses its carrier because somebody sets protodown";

    /// Whether a device joins or leaves a VRF: if it is up, it is set down and up again.
    changes_vrf: [
        of_module("vrf", "vrf_add_slave"),
        of_module("vrf", "vrf_del_slave"),
    ], unseen: "that a link is set down only for a moment, as it joins or leaves a VRF";

    /// Whether the kernel removes IP addresses whose lifetime has ended.
    ends_lifetimes: [
        function("addrconf_verify_work"), // IPv6
        function("addrconf_verify_rtnl"),
        function("check_lifetime"), // IPv4
    ], unseen: "that an address goes because its lifetime has ended";

    /// Whether duplicate address detection of IPv6 is at work.
    detects_duplicates: [
        function("addrconf_dad_work"),
        function("addrconf_dad_stop"),
    ], unseen: "that an address goes because another host has it";

    /// Whether somebody asks for an IP address. If another one goes, the kernel may announce a secondary one as new
    /// (`__inet_del_ifa`), and a router's announcement makes addresses of IPv6.
    sets_address: [
        // On 5.10, whatever handles a request reaches the inner one with a tail call, and is not on the path.
        function("__inet_insert_ifa"),
        function("inet_rtm_newaddr"),
        function("inet_insert_ifa"), // by ioctl
        function("inet6_addr_add"),
        function("inet6_rtm_newaddr"),
        function("addrconf_add_ifaddr"), // by ioctl
    ], unseen: "who had set an address that goes";

    /// Whether the MTU of a device is set.
    sets_mtu: [
        function("dev_set_mtu"),
        function("dev_set_mtu_ext"),
        function("netif_set_mtu"), // 7.x
        function("netif_set_mtu_ext"),
    ], unseen: "that addresses of IPv6 go because the MTU is too small for it";

    /// Whether links follow what happened to their parent.
    reaches_children: [
        of_module("macvlan", "macvlan_device_event"),
        of_module("ipvlan", "ipvlan_device_event"),
    ], unseen: "that it was the MTU of the parent which was set";

    /// Whether a sysctl is written.
    writes_sysctl: [
        function("proc_sys_call_handler"),
        function("proc_sys_write"),
    ], unseen: "that addresses of IPv6 go because a sysctl disables it";

    /// Whether a device is set up.
    sets_up: [
        function("__dev_notify_flags"),
        function("dev_open"),
        function("netif_open"), // 6.18, the body of `dev_open`
    ], unseen: "that the carrier of a link comes back because its parent is set up, and reports both";
}

#[cfg(test)]
mod tests;
