//! Where a CPU builds its records, and their way to user space.

use aya_ebpf::{
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_boot_ns, generated},
    macros::map,
    maps::{PerCpuArray, RingBuf},
};
use macvlan_trace_common::{ABI, Counter, Header, Kind};

use crate::{
    capture::{
        buffer::{Buffer, SIZE},
        netlink::Wanted,
        task,
    },
    counters::count,
    request::{Request, Signalled},
};

/// Records on their way to user space. 4 MiB hold 8,000 deletions of a storm: its records share one task record.
#[map]
static RECORDS: RingBuf = RingBuf::with_byte_size(4 << 20, 0);

/// Where records are built: two lanes a CPU, because a tracepoint can interrupt a kprobe.
#[map]
static LANES: PerCpuArray<Lane> = PerCpuArray::with_max_entries(2, 0);

/// The lane of kprobes, which do not interrupt each other.
pub const KPROBE: u32 = 0;
/// The lane of tracepoints.
pub const TRACEPOINT: u32 = 1;

/// Where one CPU builds its records, one at a time.
#[repr(C)]
pub struct Lane {
    /// 1 while a program uses it.
    busy: u64,
    /// Sequence number of the last record.
    seq: u64,
    /// The task whose record was sent last.
    last_task: task::Fingerprint,
    /// What a hook asks for.
    pub request: Request,
    /// What a netlink request asks for.
    pub wanted: Wanted,
    /// The signal that is to be reported.
    pub signal: Signalled,
    /// The record.
    pub buffer: Buffer,
}

/// This CPU's lane, for one program. A program that interrupted another gets none, and counts as a loss.
#[inline(always)]
pub fn occupy(number: u32) -> Option<&'static mut Lane> {
    let lane = current(number)?;
    if lane.busy != 0 {
        count(Counter::Nested);
        return None;
    }
    lane.busy = 1;
    Some(lane)
}

/// This CPU's lane, for the program that was tail-called.
#[inline(always)]
pub fn current(number: u32) -> Option<&'static mut Lane> {
    // SAFETY: the map's slot belongs to this CPU, and `busy` keeps a second program out.
    LANES.get_ptr_mut(number).map(|lane| unsafe { &mut *lane })
}

impl Lane {
    /// Frees the lane.
    #[inline(always)]
    pub fn release(&mut self) {
        self.busy = 0;
    }

    /// Sends the current task's record, unless it was the last one sent from here: a storm repeats it thousands
    /// of times.
    #[inline(always)]
    pub fn send_task(&mut self, lane: u32) {
        let current = task::current();
        let fingerprint = task::fingerprint(current);
        if self.last_task == fingerprint {
            return;
        }
        let len = task::fill(&mut self.buffer, current);
        if self.send(Kind::Task, lane, current, len) {
            self.last_task = fingerprint;
        }
    }

    /// Completes the head of the record in the buffer and sends its first `len` bytes. Returns whether there was room.
    #[inline(always)]
    pub fn send(&mut self, kind: Kind, lane: u32, current: u64, len: usize) -> bool {
        let seq = self.seq + 1;
        self.seq = seq;
        let header = self.buffer.record::<Header>();
        header.abi = ABI;
        header.kind = kind as u16;
        #[allow(clippy::cast_possible_truncation)] // at most SIZE
        {
            header.len = len as u32;
        }
        header.seq = seq;
        // SAFETY: helpers without arguments.
        header.boot_ns = unsafe { bpf_ktime_get_boot_ns() };
        // SAFETY: as above.
        header.cpu = unsafe { bpf_get_smp_processor_id() };
        header.lane = lane;
        task::fill_ref(current, &mut header.task);
        // The verifier wants to see the bound in the register that it checks.
        let len = core::hint::black_box(len) & (SIZE - 1);
        // SAFETY: `len` is less than the buffer's size.
        let sent = unsafe {
            generated::bpf_ringbuf_output(
                (&raw const RECORDS).cast_mut().cast(),
                self.buffer.at(0).cast(),
                len as u64,
                0,
            )
        };
        if sent != 0 {
            count(Counter::RingFull);
        }
        sent == 0
    }
}
