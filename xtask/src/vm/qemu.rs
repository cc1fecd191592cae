//! The machine: QEMU's command line, its ports, and the watch over a run.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use guest_init::{Report, port};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Signal, set_parent_process_death_signal};

use super::cards::{self, NIC, SLOT};
use super::emulator::Emulator;
use super::outcome::{Broken, Failure, Outcome, of_report, of_silence, tail};

/// Quiet on the console, so that what is there means something; an oops is a panic, and a panic ends QEMU instead of
/// hanging it. The rest makes emulation cheaper: no work against attackers that a guest does not have, and no doubt
/// about its timer, which a busy host may make look broken. The network card is eth0 even where there is udev.
const KERNEL_ARGUMENTS: &str = "console=ttyS0 quiet loglevel=4 oops=panic panic=-1 mitigations=off \
                                init_on_alloc=0 no_timer_check random.trust_cpu=on net.ifnames=0";

/// A boot takes ten to forty seconds where the processor is emulated and busy; a guest that takes so long hangs.
const BOOT_PATIENCE: Duration = Duration::from_secs(300);

/// The emulated processor: all that QEMU can emulate, but for what is slow and what no test looks at. A kernel that may
/// copy and clear memory with single string instructions (`erms`, `fsrm`) does, and QEMU emulates those byte by byte.
/// Page tables of five levels (`la57`) are walked again after each switch between processes, `smap` ends the translated
/// code twice in each copy from or to a process, and the state of `mpx` and `pku` is saved with each switch. Without all
/// these the kernel needs half the time to start four of Docker's containers, and QEMU a tenth less time in all.
const EMULATED_PROCESSOR: &str = "max,-erms,-fsrm,-la57,-smap,-mpx,-pku";

/// How many lines of the console accompany a failure.
const CONSOLE_LINES: usize = 30;

/// How much of the console is kept.
const CONSOLE_BYTES: usize = 64 * 1024;

/// A guest that is ready to start.
pub struct Machine {
    /// The kernel's image.
    pub kernel: PathBuf,
    /// The whole initramfs, in memory.
    pub initramfs: File,
    /// A disk; what the guest writes to it is gone with the guest.
    pub disk: Option<PathBuf>,
    /// Guest memory in megabytes.
    pub memory: u64,
    /// Virtual CPUs.
    pub cpus: u32,
    /// What runs it.
    pub emulator: Emulator,
    /// `kvm` or `tcg`.
    pub accelerator: Accelerator,
    /// How long the run may take.
    pub timeout: Duration,
}

/// Where the guest's output goes.
pub struct Sinks {
    /// For the command's standard output.
    pub stdout: Box<dyn Write + Send>,
    /// For its standard error.
    pub stderr: Box<dyn Write + Send>,
    /// What a person types, for an interactive run.
    pub stdin: Option<Box<dyn Read + Send>>,
}

/// Who executes the guest's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// The processor.
    Kvm,
    /// An emulator.
    Tcg,
}

impl Accelerator {
    /// KVM where it works. A machine that is itself a guest may have a /dev/kvm that starts guests and then
    /// cannot run them, so a kernel is booted once to see, and the answer is kept in this file.
    pub fn find(answer: &Path, emulator: &Emulator, kernel: &Path) -> Result<Self> {
        let known = fs::read_to_string(answer).unwrap_or_default();
        match known.trim() {
            "kvm" => return Ok(Self::Kvm),
            "tcg" => return Ok(Self::Tcg),
            _ => {}
        }
        let found = if Self::kvm_boots(emulator, kernel)? { Self::Kvm } else { Self::Tcg };
        fs::write(answer, found.name()).with_context(|| format!("could not write {}", answer.display()))?;
        Ok(found)
    }

    /// Boots a kernel without any root: it panics, and the machine ends at once, well within the time.
    fn kvm_boots(emulator: &Emulator, kernel: &Path) -> Result<bool> {
        const LIMIT: Duration = Duration::from_secs(5);
        if File::options().read(true).write(true).open("/dev/kvm").is_err() {
            return Ok(false);
        }
        let mut command = base_command(emulator, Self::Kvm, kernel, 256, 1);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("could not start QEMU")?;
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status.success());
            }
            if Instant::now() > deadline {
                stop(&mut child);
                return Ok(false);
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }
}

fn base_command(
    emulator: &Emulator,
    accelerator: Accelerator,
    kernel: &Path,
    memory: u64,
    cpus: u32,
) -> Command {
    let mut command = emulator.command();
    let (processor, accelerator) = match accelerator {
        Accelerator::Kvm => ("max", "kvm"),
        Accelerator::Tcg => (EMULATED_PROCESSOR, "tcg,thread=multi"),
    };
    command
        .args(["-no-user-config", "-nodefaults", "-no-reboot", "-display", "none", "-machine", "q35"])
        .args(["-cpu", processor, "-accel", accelerator])
        .args(["-m", &format!("{memory}M"), "-smp", &cpus.to_string()])
        .args(["-append", KERNEL_ARGUMENTS])
        .arg("-kernel")
        .arg(kernel);
    command
}

/// What the threads that watch a guest tell the one that waits.
enum Event {
    Report(Report),
    /// The control port is closed: QEMU has ended.
    Gone,
    /// Our own output can no longer be written.
    OutputFailed(io::Error),
}

/// Boots the machine and stays until the command has ended, or something else has.
///
/// The thread that calls this has to live as long as the guest: when it ends, the guest is killed.
pub fn run(machine: &Machine, sinks: Sinks) -> Result<Outcome> {
    let (control, control_end) = UnixStream::pair()?;
    let (stdout, stdout_end) = UnixStream::pair()?;
    let (stderr, stderr_end) = UnixStream::pair()?;
    let (cards, cards_end) = UnixStream::pair()?;
    let (monitor, monitor_end) = UnixStream::pair()?;
    let ports = [
        (port::CONTROL, OwnedFd::from(control_end)),
        (port::STDOUT, OwnedFd::from(stdout_end)),
        (port::STDERR, OwnedFd::from(stderr_end)),
        (port::CARDS, OwnedFd::from(cards_end)),
    ];
    let monitor_end = OwnedFd::from(monitor_end);
    let mut child = spawn(machine, &ports, &monitor_end)?;
    // Ours are copies: the ports hang up with QEMU only when it holds the last ones.
    drop((ports, monitor_end));

    let console = collect(child.stdout.take());
    let complaint = collect(child.stderr.take());
    let (tell, events) = channel();
    if let Some(stdin) = sinks.stdin {
        let terminal = stdout.try_clone()?;
        // Never joined: it sits in a read of the user's terminal.
        thread::spawn(move || carry(stdin, terminal));
    }
    let carriers =
        [carry_output(stdout, sinks.stdout, tell.clone()), carry_output(stderr, sinks.stderr, tell.clone())];
    thread::spawn(move || listen(control, &tell));
    thread::spawn(move || cards::serve(&cards, monitor));

    let ending = wait(&events, machine.timeout, BOOT_PATIENCE);
    // The command's output has left the guest before its report: nothing is lost by stopping here.
    stop(&mut child);
    for carrier in carriers {
        carrier.join().ok();
    }
    let console = console.join().unwrap_or_default();
    let complaint = complaint.join().unwrap_or_default();
    let failure = match ending {
        Ending::Outcome(outcome) => return Ok(outcome),
        Ending::Output(error) => return Err(error).context("could not write the guest's output"),
        Ending::Failure(failure) => failure,
        Ending::Silence { started } => of_silence(&console, &complaint, started),
    };
    Err(Broken { failure, console: tail(&console, CONSOLE_LINES) }.into())
}

enum Ending {
    Outcome(Outcome),
    Failure(Failure),
    Silence { started: bool },
    Output(io::Error),
}

/// Waits for the end of a run, which may take no longer than `limit`, and its boot no longer than `patience`.
fn wait(events: &Receiver<Event>, limit: Duration, patience: Duration) -> Ending {
    let begin = Instant::now();
    let mut started = false;
    loop {
        let hangs_after = Some(patience).filter(|&patience| !started && patience < limit);
        let deadline = begin + hangs_after.unwrap_or(limit);
        match events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Event::Report(report)) => match of_report(report) {
                None => started = true,
                Some(Ok(outcome)) => return Ending::Outcome(outcome),
                Some(Err(failure)) => return Ending::Failure(failure),
            },
            Ok(Event::OutputFailed(error)) if error.kind() == ErrorKind::BrokenPipe => {
                return Ending::Outcome(Outcome::NobodyListens);
            }
            Ok(Event::OutputFailed(error)) => return Ending::Output(error),
            Err(RecvTimeoutError::Timeout) => {
                return Ending::Failure(match hangs_after {
                    Some(patience) => Failure::NeverBooted { patience },
                    None => Failure::TimedOut { limit, started },
                });
            }
            Ok(Event::Gone) | Err(RecvTimeoutError::Disconnected) => return Ending::Silence { started },
        }
    }
}

fn spawn(machine: &Machine, ports: &[(&str, OwnedFd)], monitor: &OwnedFd) -> Result<Child> {
    let Machine { emulator, accelerator, kernel, memory, cpus, .. } = machine;
    let mut command = base_command(emulator, *accelerator, kernel, *memory, *cpus);
    command
        .arg("-initrd")
        .arg(format!("/proc/self/fd/{}", machine.initramfs.as_raw_fd()))
        .args(["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"])
        .arg("-chardev")
        .arg(format!("socket,id=monitor,fd={}", monitor.as_raw_fd()))
        .args(["-mon", "chardev=monitor,mode=control"])
        // Its cable leads nowhere; what it sends is gone.
        .args(["-device", &format!("virtio-net-pci,id={NIC},romfile=")])
        // Cards can be plugged into slots behind a port only.
        .args(["-device", &format!("pcie-root-port,id={SLOT},chassis=1")])
        .args(["-device", "virtio-serial-pci"]);
    if let Some(disk) = &machine.disk {
        command
            .arg("-drive")
            .arg(format!(
                "file={},format=raw,if=none,id=disk,snapshot=on,cache=unsafe",
                disk.display().to_string().replace(',', ",,")
            ))
            .args(["-device", "virtio-blk-pci,drive=disk"]);
    }
    for (name, fd) in ports {
        command
            .arg("-chardev")
            .arg(format!("socket,id={name},fd={}", fd.as_raw_fd()))
            .arg("-device")
            .arg(format!("virtserialport,chardev={name},name={name}"));
    }
    let inherited: Vec<i32> = ports
        .iter()
        .map(|(_, fd)| fd.as_raw_fd())
        .chain([monitor.as_raw_fd(), machine.initramfs.as_raw_fd()])
        .collect();
    let prepare = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        for fd in &inherited {
            // SAFETY: the descriptors are open: their owners are borrowed until after the spawn.
            let fd = unsafe { BorrowedFd::borrow_raw(*fd) };
            fcntl_setfd(fd, FdFlags::empty())?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec only system calls are made and nothing is allocated.
    unsafe { command.pre_exec(prepare) };
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("could not start QEMU")
}

fn stop(child: &mut Child) {
    // Both fail only when it has ended already.
    child.kill().ok();
    child.wait().ok();
}

fn listen(control: UnixStream, tell: &Sender<Event>) {
    for line in BufReader::new(control).lines().map_while(Result::ok) {
        if let Ok(report) = serde_json::from_str(&line) {
            tell.send(Event::Report(report)).ok();
        }
    }
    tell.send(Event::Gone).ok();
}

fn carry_output(from: UnixStream, to: Box<dyn Write + Send>, tell: Sender<Event>) -> JoinHandle<()> {
    thread::spawn(move || {
        if let Err(error) = carry(from, to) {
            tell.send(Event::OutputFailed(error)).ok();
        }
    })
}

/// Carries bytes as they come, and fails only when they cannot be written.
fn carry(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        match from.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return Ok(()),
            Ok(count) => {
                to.write_all(&buffer[..count])?;
                to.flush()?;
            }
        }
    }
}

/// Keeps the end of what a stream says.
fn collect(stream: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut kept = Vec::new();
        let mut buffer = [0; 4096];
        if let Some(mut stream) = stream {
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                kept.extend_from_slice(&buffer[..count]);
                kept.drain(..kept.len().saturating_sub(CONSOLE_BYTES));
            }
        }
        String::from_utf8_lossy(&kept).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// How a run fails whose guest reports this, and nothing more.
    fn failure(reports: &[Report], limit: Duration, patience: Duration) -> Failure {
        let (tell, events) = channel();
        for report in reports {
            tell.send(Event::Report(report.clone())).expect("somebody listens");
        }
        match wait(&events, limit, patience) {
            Ending::Failure(failure) => failure,
            _ => panic!("no failure"),
        }
    }

    #[test]
    fn a_guest_that_does_not_boot_is_not_waited_for_until_its_time_is_up() {
        let never = Failure::NeverBooted { patience: Duration::ZERO };
        assert_eq!(failure(&[], HOUR, Duration::ZERO), never);
        assert_eq!(never.to_string(), "the guest hung: it had not booted after 0 s");
    }

    #[test]
    fn a_time_that_is_up_is_no_hang() {
        let (limit, patience) = (Duration::ZERO, HOUR);
        assert_eq!(failure(&[], limit, patience), Failure::TimedOut { limit, started: false });
        assert_eq!(failure(&[Report::Started], limit, patience), Failure::TimedOut { limit, started: true });
    }

    #[test]
    fn a_guest_that_has_booted_has_all_its_time() {
        let (tell, events) = channel();
        tell.send(Event::Report(Report::Started)).expect("somebody listens");
        tell.send(Event::Report(Report::Exited { code: 0 })).expect("somebody listens");
        let ending = wait(&events, HOUR, Duration::ZERO);
        assert!(matches!(ending, Ending::Outcome(Outcome::Exited(0))));
    }
}
