//! Sends what a hook has found worth sending.
//!
//! Hooks only decide, and hand over with a tail call. The verifier spends more time on capturing a task than on
//! everything else, and so does that once, not once per hook.

use aya_ebpf::{
    EbpfContext,
    macros::{kprobe, map},
    maps::ProgramArray,
    programs::{ProbeContext, RetProbeContext},
};
use aya_log_ebpf::debug;
use macvlan_trace_common::{
    Counter, ExitRecord, FailedRecord, IpAddress, Kind, LinkChange, LinkRecord, LinkState, NetnsEndRecord,
    NetnsMoveRecord, NetnsRef, NotMadeRecord, OomRecord, Probe,
};

use crate::{
    capture::{
        netdev,
        netlink::{self, keep, kept},
        netns, stack, task,
    },
    counters::count,
    kinds,
    kread::{field, read, string},
    lane::{KPROBE, Lane, current, occupy},
    request::{Change, Request},
    state::{
        attempts::{self, Attempt, Wanted},
        newlinks::NewLink,
        parents, watched,
    },
};

/// How many devices below a link are reported, one on the other: two VLANs on a bridge, its port and the other end of that.
const MAX_BELOW: u32 = 4;

/// `sockaddr.sa_data`, include/linux/socket.h.
const SOCKADDR_DATA: u32 = 2;

/// Holds [`report`], put there by user space.
#[map]
static REPORT: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// Hands over to [`report`], and does not come back.
#[inline(always)]
pub fn hand_over(ctx: &impl EbpfContext, request: Request) {
    let Some(lane) = occupy(KPROBE) else { return };
    lane.request = request;
    // SAFETY: nothing here has to be dropped.
    unsafe { REPORT.tail_call(ctx, 0) };
    // Only if user space has not put the program there yet.
    lane.release();
    count(Counter::Nested);
}

/// Reports what the current task asked of a link, if that failed.
#[inline(always)]
pub fn failure(ctx: &RetProbeContext, what: LinkChange, probe: Probe) {
    let Some(Attempt { dev, wanted, .. }) = attempts::end(what) else { return };
    let result: i32 = ctx.ret();
    if result < 0 {
        debug!(ctx, "failed: dev {:x}, change {}, {}", dev, what as u16, result);
        let change = Change { error: result.unsigned_abs(), wanted, ..Change::new(Kind::Link, what, probe) };
        hand_over(ctx, Request::Link { dev, change });
    }
}

/// Sends the record that was asked for, behind that of the current task.
#[kprobe]
pub fn report(ctx: ProbeContext) -> u32 {
    let Some(lane) = current(KPROBE) else { return 0 };
    lane.send_task(KPROBE);
    match lane.request {
        Request::Link { dev, change } => link(&ctx, lane, dev, &change),
        Request::Exit { net, code, only_thread, elsewhere } => {
            let record = lane.buffer.record::<ExitRecord>();
            netns::fill(net, &mut record.netns);
            record.code = code;
            record.only_thread = u16::from(only_thread);
            record.elsewhere = u16::from(elsewhere);
            lane.send(Kind::Exit, KPROBE, task::current(), size_of::<ExitRecord>());
        }
        Request::NetnsMove { from, to } => {
            let record = lane.buffer.record::<NetnsMoveRecord>();
            netns::fill(from, &mut record.from);
            netns::fill(to, &mut record.to);
            record.threads = task::threads(task::current());
            // A new namespace has the one reference that `setup_net` gives it and the new `nsproxy` takes over. Who enters
            // an older one adds a reference to that of a file or a process.
            record.made = u32::from(read!(to, net_count as u32) == 1);
            lane.send(Kind::NetnsMove, KPROBE, task::current(), size_of::<NetnsMoveRecord>());
        }
        Request::NetnsEnd { net, last } => {
            let stack = stack::fill::<NetnsEndRecord>(&mut lane.buffer, &ctx);
            let record = lane.buffer.record::<NetnsEndRecord>();
            netns::fill(net, &mut record.netns);
            record.threads = task::threads(task::current());
            record.last = u32::from(last);
            record.reserved = 0;
            record.stack = stack;
            lane.send(
                Kind::NetnsEnd,
                KPROBE,
                task::current(),
                size_of::<NetnsEndRecord>() + stack as usize * 8,
            );
        }
        Request::Oom { net, target, memcg } => {
            let record = lane.buffer.record::<OomRecord>();
            netns::fill(net, &mut record.netns);
            task::fill_ref(target, &mut record.target);
            record.limited = u32::from(memcg != 0);
            record.reserved = 0;
            let cgroup: u64 = read!(memcg, memcg_cgroup);
            let kn: u64 = read!(cgroup, cgroup_kn);
            let len = task::fill_cgroup(&mut lane.buffer, kn, size_of::<OomRecord>(), |buffer| {
                &mut buffer.record::<OomRecord>().limit
            });
            lane.send(Kind::Oom, KPROBE, task::current(), len);
        }
        Request::NotMade { request, error } => not_made(&ctx, lane, request, error),
    }
    lane.release();
    0
}

/// Sends what was asked for, where it was to stand, and who is there already.
#[inline(always)]
fn not_made(ctx: &impl EbpfContext, lane: &mut Lane, request: NewLink, error: u32) {
    let NewLink { skb, message, extack } = request;
    let stack = stack::fill::<NotMadeRecord>(&mut lane.buffer, ctx);
    let wanted = &mut lane.wanted;
    netlink::read_wanted(message, wanted);
    let socket = netlink::netns_of(skb);
    if wanted.parent_elsewhere == 0 {
        let lower = netdev::of_index(socket, field(wanted.parent, 0));
        keep(&mut wanted.family, kinds::family(&wanted.info.find(netlink::IFLA_INFO_KIND).text()));
        // A link on another one of its family stands on the other's parent.
        let stacked = kinds::family(&netdev::kind(lower)) == kept(&wanted.family);
        keep(&mut wanted.lower, if stacked { netdev::lower(lower) } else { lower });
    }
    keep(&mut wanted.holder, netdev::holder(kept(&wanted.lower)));
    if wanted.netns_fd != 0 {
        keep(&mut wanted.netns, netns::of_descriptor(task::current(), field(wanted.netns_fd, 0)));
    } else if wanted.netns_otherwise == 0 {
        keep(&mut wanted.netns, socket);
    }
    let wanted = kept(wanted);
    // User space knows it from now on, and forgets it at its end.
    watched::watch(wanted.netns);

    let record = lane.buffer.record::<NotMadeRecord>();
    netlink::fill_message(extack, &mut record.message);
    netdev::fill(wanted.holder, &mut record.holder);
    record.holder.mode = netdev::mode(wanted.holder, wanted.lower);
    let change = &mut record.change;
    change.change = LinkChange::CreateFailed as u16;
    change.probe = Probe::NewLink as u16;
    change.flags_after = 0;
    change.link = LinkState::NONE;
    netns::fill(wanted.netns, &mut change.link.netns);
    change.link.name = wanted.name.text();
    change.link.kind = wanted.info.find(netlink::IFLA_INFO_KIND).text();
    change.link.mac = field(wanted.address, 0);
    netdev::fill(wanted.lower, &mut change.parent);
    (change.from, change.from_ifindex) = (NetnsRef::NONE, 0);
    change.error = error;
    change.address = IpAddress::NONE;
    change.stack = stack;
    change.reserved = 0;
    let data = wanted.info.find(netlink::IFLA_INFO_DATA);
    change.link.mode = data.find(netlink::IFLA_MACVLAN_MODE).value();
    let len = size_of::<NotMadeRecord>() + stack as usize * 8;
    lane.send(Kind::NotMade, KPROBE, task::current(), len);
}

/// What a request that failed asked for, and what the kernel said to that.
#[inline(always)]
fn fill_wanted(wanted: &Wanted, record: &mut FailedRecord) {
    record.mac = field(wanted.address, SOCKADDR_DATA);
    record.reserved = 0;
    record.name = [0; 16];
    // SAFETY: the field has 16 bytes.
    unsafe { string(wanted.name, record.name.as_mut_ptr(), 16) };
    netns::fill(wanted.netns, &mut record.netns);
    netlink::fill_message(wanted.extack, &mut record.message);
}

#[inline(always)]
fn link(ctx: &impl EbpfContext, lane: &mut Lane, dev: u64, change: &Change) {
    let traced = change.of as u16 == Kind::Link as u16;
    let failed = change.error != 0;
    let stack = if failed {
        stack::fill::<FailedRecord>(&mut lane.buffer, ctx)
    } else {
        stack::fill::<LinkRecord>(&mut lane.buffer, ctx)
    };
    let record = lane.buffer.record::<LinkRecord>();
    record.change = change.what as u16;
    record.probe = change.probe as u16;
    record.error = change.error;
    record.address = change.address;
    record.reserved = 0;
    record.stack = stack;
    let lower = if traced { netdev::lower(dev) } else { netdev::beneath(dev) };
    netdev::fill(dev, &mut record.link);
    netdev::fill(lower, &mut record.parent);
    if traced {
        record.link.mode = netdev::mode(dev, lower);
    }
    record.flags_after = change.flags_after.unwrap_or(record.link.flags);
    (record.from, record.from_ifindex) = match change.moved {
        Some(moved) => (moved.from, moved.from_ifindex),
        None => (NetnsRef::NONE, 0),
    };
    // From now on, the end of either namespace may explain a change of the link. A deletion is no reason to watch: the
    // namespace may have just ended.
    let lives = matches!(change.what, LinkChange::Created | LinkChange::Moved | LinkChange::Up);
    if lives {
        watched::watch(record.link.netns.ptr);
        watched::watch(record.parent.netns.ptr);
    }
    let len = size_of::<LinkRecord>() + stack as usize * 8;
    if failed {
        fill_wanted(&change.wanted, lane.buffer.record());
        let len = size_of::<FailedRecord>() + stack as usize * 8;
        lane.send(Kind::Failed, KPROBE, task::current(), len);
        return;
    }
    lane.send(change.of, KPROBE, task::current(), len);
    // The devices further below may take the link with them. By then the kernel has forgotten what stood on what
    // (`veth_dellink` clears both ends, `unregister_vlan_dev` and `vxlan_dellink` unlink), so report it now.
    let mut device = if lives && (traced || netdev::peer(dev) == 0) { lower } else { 0 };
    let mut depth = 0;
    while depth < MAX_BELOW {
        if device != 0 {
            parents::mark(device);
        }
        let peer = netdev::peer(device);
        let below = if peer == 0 { netdev::lower(device) } else { peer };
        if below == 0 {
            break;
        }
        let record = lane.buffer.record::<LinkRecord>();
        record.change = LinkChange::Created as u16;
        netdev::fill(device, &mut record.link);
        netdev::fill(below, &mut record.parent);
        record.flags_after = record.link.flags;
        (record.from, record.from_ifindex) = (NetnsRef::NONE, 0);
        watched::watch(record.parent.netns.ptr);
        lane.send(Kind::Parent, KPROBE, task::current(), len);
        // Nothing is below a veth but its other end.
        device = if peer == 0 { below } else { 0 };
        depth += 1;
    }
}
