//! Runs the command and carries its output to the ports while it runs.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use anyhow::{Context as _, Result, anyhow, bail};
use guest_init::{Report, Request, Terminal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::ports::Ports;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs the command to its end. When this returns, the host has all its output.
pub fn run(request: &Request, ports: &mut Ports) -> Result<Report> {
    match &request.terminal {
        None => run_on_pipes(request, ports),
        Some(terminal) => run_on_terminal(request, terminal, ports),
    }
}

/// Pipes, not the ports themselves: a port can be opened only once, and shells reopen /dev/stderr.
fn run_on_pipes(request: &Request, ports: &mut Ports) -> Result<Report> {
    let (stdout, child_stdout) = pipe_with(PipeFlags::CLOEXEC)?;
    let (stderr, child_stderr) = pipe_with(PipeFlags::CLOEXEC)?;
    let Some((program, arguments)) = request.command.split_first() else {
        bail!("there is no command to run")
    };
    let running = spawn(
        command(program, request)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(child_stdout)
            .stderr(child_stderr),
    )?;
    let mut flows = [
        Flow { from: stdout.into(), to: &mut ports.stdout, open: true },
        Flow { from: stderr.into(), to: &mut ports.stderr, open: true },
    ];
    carry(&mut flows, &running)
}

/// A pseudo-terminal, so that the shell has job control and a line editor.
fn run_on_terminal(request: &Request, terminal: &Terminal, ports: &mut Ports) -> Result<Report> {
    let open_terminal = || -> rustix::io::Result<(OwnedFd, OwnedFd)> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let size = Winsize { ws_row: terminal.rows, ws_col: terminal.columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&ours, size)?;
        let theirs =
            ioctl_tiocgptpeer(&ours, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        Ok((ours, theirs))
    };
    let (ours, theirs) = open_terminal().context("could not open a terminal for the shell")?;
    let ours = File::from(ours);
    let running = spawn(
        // busybox's setsid makes its standard input the controlling terminal.
        command(OsStr::new("setsid"), request)
            .arg("-c")
            .args(&request.command)
            .env("TERM", &terminal.kind)
            .stdin(theirs.try_clone()?)
            .stdout(theirs.try_clone()?)
            .stderr(theirs),
    )?;
    let mut typed = ports.stdout.try_clone()?;
    let mut shown = ours.try_clone()?;
    thread::spawn(move || std::io::copy(&mut typed, &mut shown));
    carry(&mut [Flow { from: ours, to: &mut ports.stdout, open: true }], &running)
}

fn command(program: &OsStr, request: &Request) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", "/root")
        .env("USER", "root")
        .envs(request.environment.iter().map(|(name, value)| (name, value)))
        .current_dir("/root");
    command
}

/// A command that runs.
struct Running {
    /// Hangs up when the command has ended.
    hangup: OwnedFd,
    outcome: Receiver<Report>,
}

/// Starts the command. Orphaned processes become our children, so one thread waits for any child.
fn spawn(command: &mut Command) -> Result<Running> {
    let child = command.spawn().map_err(|error| {
        let program = command.get_program().display();
        match error.kind() {
            ErrorKind::NotFound => anyhow!("there is no {program} in the guest"),
            _ => anyhow!("could not start {program}: {error}"),
        }
    })?;
    let pid =
        i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("the child has no process id")?;
    let (hangup, held) = pipe_with(PipeFlags::CLOEXEC)?;
    let (sender, outcome) = channel();
    thread::spawn(move || {
        // The receiver is gone only when the machine is shutting down.
        let _ = sender.send(reap_until(pid));
        drop(held);
    });
    Ok(Running { hangup, outcome })
}

fn reap_until(pid: Pid) -> Report {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((ended, status))) if ended == pid => return report(status),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Report::Failed { why: format!("could not wait for the command: {error}") },
        }
    }
}

fn report(status: WaitStatus) -> Report {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Report::Exited { code },
        (None, Some(signal)) => Report::Killed { signal },
        (None, None) => {
            Report::Failed { why: format!("the command ended with status {:#x}", status.as_raw()) }
        }
    }
}

/// Output on its way to the host.
struct Flow<'a> {
    from: File,
    to: &'a mut File,
    open: bool,
}

impl Flow<'_> {
    fn carry_once(&mut self) -> Result<()> {
        let mut buffer = [0; 16 * 1024];
        match self.from.read(&mut buffer) {
            Ok(count @ 1..) => {
                self.to
                    .write_all(&buffer[..count])
                    .context("could not send the command's output to the host")?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // When the last user has closed it, reading a terminal fails, and a pipe is at its end.
            Ok(0) | Err(_) => self.open = false,
        }
        Ok(())
    }
}

/// Copies output until the command has ended and all its output is copied. A process that it left behind may hold the
/// pipes open for ever: this does not wait for that.
fn carry(flows: &mut [Flow<'_>], running: &Running) -> Result<Report> {
    let mut outcome = None;
    loop {
        let ready = wait_for_input(flows, running, outcome.is_some())?;
        for (flow, _) in flows.iter_mut().zip(&ready.flows).filter(|(_, ready)| **ready) {
            flow.carry_once()?;
        }
        match outcome {
            Some(report) if !ready.flows.contains(&true) => return Ok(report),
            None if ready.ended => {
                outcome = Some(running.outcome.recv().context("nobody waits for the command")?);
            }
            _ => {}
        }
    }
}

struct Ready {
    flows: Vec<bool>,
    ended: bool,
}

fn wait_for_input(flows: &[Flow<'_>], running: &Running, only_look: bool) -> Result<Ready> {
    // Closed flows are left out: poll would report their hangup again and again.
    let mut fds: Vec<PollFd<'_>> = flows
        .iter()
        .filter(|flow| flow.open)
        .map(|flow| PollFd::new(&flow.from, PollFlags::IN))
        .chain([PollFd::new(&running.hangup, PollFlags::IN)])
        .collect();
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut fds, only_look.then_some(&at_once)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error).context("could not wait for the command's output"),
    }
    let mut happened = fds.iter().map(|fd| !fd.revents().is_empty());
    let flows = flows.iter().map(|flow| flow.open && happened.next().unwrap_or(false)).collect();
    Ok(Ready { flows, ended: happened.next().unwrap_or(false) })
}
