//! One file per hook.

mod address;
mod carrier;
mod change_flags;
mod change_name;
mod change_netns;
mod close_many;
mod do_exit;
mod free_netdev;
mod netns_end;
mod newlink;
mod oom_kill;
mod open;
mod rtnetlink_event;
mod set_mac;
mod signal_generate;
mod switch_namespaces;
mod unregister;
