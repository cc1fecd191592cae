//! `rtnl_newlink(skb, nlh, extack)`: a request for a link, and how it went. Its address is taken (`rtnl_register`), so it
//! is never inlined, and it sees refusals that no function of a link's driver does, such as that of an unknown kind.
//!
//! A request that the sender may not make (EPERM) does not get here: `rtnetlink_rcv_msg` refuses it.

use aya_ebpf::{
    macros::{kprobe, kretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use aya_log_ebpf::debug;

use crate::{
    capture::netlink,
    kinds,
    report::hand_over,
    request::Request,
    state::newlinks::{self, NewLink},
};

/// Remembers a request for a link of a traced kind.
#[kprobe]
pub fn newlink(ctx: ProbeContext) -> u32 {
    let (Some(skb), Some(message), Some(extack)) = (ctx.arg::<u64>(0), ctx.arg::<u64>(1), ctx.arg::<u64>(2))
    else {
        return 0;
    };
    if netlink::creates(message) && kinds::is_traced(&netlink::wanted_kind(message)) {
        newlinks::begin(NewLink { skb, message, extack });
    } else {
        newlinks::forget();
    }
    0
}

/// Reports it, if it was refused.
#[kretprobe]
pub fn newlink_return(ctx: RetProbeContext) -> u32 {
    let Some(request) = newlinks::end() else { return 0 };
    let result: i32 = ctx.ret();
    if result < 0 {
        debug!(&ctx, "not made: {}", result);
        hand_over(&ctx, Request::NotMade { request, error: result.unsigned_abs() });
    }
    0
}
