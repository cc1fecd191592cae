//! `cargo xtask vm`: runs a command on one of Debian's kernels.
//!
//! [`sources`] finds the mirror, [`archive`] fetches from it, [`kernel`], [`modules`] and [`userland`] prepare what
//! a guest is made of, [`initramfs`] packs it, [`qemu`] runs it in an [`emulator`], [`cards`] holds its network cards and
//! [`outcome`] says how that ended.

mod archive;
mod cached;
mod cards;
mod emulator;
mod initramfs;
mod kernel;
mod modules;
mod outcome;
mod qemu;
mod real;
mod sources;
mod userland;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use guest_init::{COPIES_DIR, REQUEST_PATH, Request, System, Terminal};
use rustix::fs::{FlockOperation, MemfdFlags, flock, memfd_create};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use self::archive::{Archive, KEYRING};
use self::emulator::Emulator;
use self::initramfs::Segment;
use self::kernel::Kernel;
pub use self::kernel::{Missing, Series};
pub use self::outcome::{Broken, Failure, Outcome};
pub use self::qemu::Sinks;
use self::qemu::{Accelerator, Machine};
use crate::cargo::GuestBuild;
use crate::host::{self, Tool};
use crate::progress::Progress;
use crate::workspace::Workspace;

/// The kernel that is used where none is asked for.
pub const DEFAULT_SERIES: &str = "6.12";

const MEGABYTE: u64 = 1 << 20;

/// The small guest's memory in megabytes, before what is copied into it.
const SMALL_MEMORY: u64 = 512;

/// The real guest's, which Docker takes for granted.
const REAL_MEMORY: u64 = 2048;

/// Much more than copying a kernel's types out of a guest takes, even under emulation.
const TYPES_TIMEOUT: Duration = Duration::from_secs(120);

const TOOLS: [Tool; 4] = [
    Tool { program: "depmod", package: "kmod" },
    Tool { program: "xz", package: "xz-utils" },
    Tool { program: "apt-get", package: "apt" },
    Tool { program: "dpkg-deb", package: "dpkg" },
];

/// Run a command as root in a virtual machine, on a kernel of Debian's archive
///
/// The guest has busybox, iproute2's ip, macvlan-trace and the usual file systems. The command's output and exit
/// status become this command's own; 124 stands for a command that ran out of time, 125 for a guest that failed.
#[derive(Args)]
pub struct Options {
    /// Which user space: busybox alone, or Debian with Docker, Podman, NetworkManager and their like
    #[arg(long, value_enum, default_value_t = Image::Small)]
    image: Image,
    /// The first process of the real image: a small one of our own, or systemd, which starts ten times slower
    #[arg(long, value_enum, default_value_t = Init::Script)]
    init: Init,
    /// The kernel series, such as 5.10; 7 means the newest 7.x
    #[arg(long, value_name = "SERIES", default_value = DEFAULT_SERIES)]
    kernel: Series,
    /// A file or directory of this machine that appears in the guest's /mnt under its last name
    #[arg(long, value_name = "PATH")]
    copy: Vec<PathBuf>,
    /// Stop the guest after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
    #[command(flatten)]
    mirror: MirrorOption,
    /// The command and its arguments; without one, a shell
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

impl Options {
    /// A command in the small guest.
    pub fn small(kernel: Series, mirror: MirrorOption, command: Vec<OsString>, timeout: u64) -> Self {
        let (image, init) = (Image::Small, Init::Script);
        Self { image, init, kernel, copy: Vec::new(), timeout, mirror, command }
    }
}

/// The user space of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Image {
    /// busybox and iproute2 alone.
    Small,
    /// Debian with the software that people run.
    Real,
}

/// The first process of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Init {
    Script,
    Systemd,
}

fn system(image: Image, init: Init) -> Result<System> {
    match (image, init) {
        (Image::Small, Init::Script) => Ok(System::Small),
        (Image::Real, Init::Script) => Ok(System::Disk),
        (Image::Real, Init::Systemd) => Ok(System::Systemd),
        (Image::Small, Init::Systemd) => bail!("only the real image has systemd: add --image real"),
    }
}

/// Where kernels come from.
#[derive(Args, Clone)]
pub struct MirrorOption {
    /// A mirror of Debian's archive, instead of the one in this machine's apt sources
    #[arg(long = "mirror", value_name = "URL")]
    pub url: Option<String>,
}

/// Runs `cargo xtask vm`; yields the exit status.
pub fn main(options: Options, workspace: &Workspace) -> Result<u8> {
    let system = system(options.image, options.init)?;
    let progress = Progress::new(0);
    let guests = Guests::new(workspace, options.mirror.url, &progress)?;
    let guest = guests.get(&options.kernel, system)?;
    let build = GuestBuild::new(workspace, None);
    let programs = Programs { init: build.binary("guest-init")?, tracer: build.binary("macvlan-trace")? };
    let mut job = Job {
        command: options.command,
        environment: Vec::new(),
        terminal: None,
        copies: options.copy,
        cpus: 2,
        timeout: Duration::from_secs(options.timeout),
    };
    let outcome = if job.command.is_empty() {
        let seat = Seat::take()?;
        job.command = vec!["sh".into(), "-l".into()];
        job.terminal = Some(seat.terminal.clone());
        guest.run(&programs, &job, || Ok(Sinks { stdin: Some(Box::new(io::stdin())), ..standard_streams() }))
    } else {
        guest.run(&programs, &job, || Ok(standard_streams()))
    };
    Ok(outcome?.code())
}

/// Our own standard output and error.
pub fn standard_streams() -> Sinks {
    Sinks { stdout: Box::new(io::stdout()), stderr: Box::new(io::stderr()), stdin: None }
}

/// What is built for guests.
#[derive(Clone)]
pub struct Programs {
    /// The guest's first process.
    pub init: PathBuf,
    /// macvlan-trace.
    pub tracer: PathBuf,
}

/// One run of a guest.
pub struct Job {
    /// The program, looked up on the guest's PATH, and its arguments.
    pub command: Vec<OsString>,
    /// Variables added to its environment.
    pub environment: Vec<(OsString, OsString)>,
    /// The terminal in front of it.
    pub terminal: Option<Terminal>,
    /// What to copy into the guest.
    pub copies: Vec<PathBuf>,
    /// Virtual CPUs.
    pub cpus: u32,
    /// How long it may take.
    pub timeout: Duration,
}

/// A guest, ready to boot as often as one likes.
#[derive(Clone)]
pub struct Guest {
    system: System,
    kernel: Kernel,
    userland: PathBuf,
    disk: Option<PathBuf>,
    emulator: Emulator,
    accelerator: Accelerator,
}

impl Guest {
    /// What `uname -r` prints in it.
    pub fn release(&self) -> &str {
        &self.kernel.release
    }

    /// Boots, runs the job and returns when it has ended.
    ///
    /// QEMU 10.0 aborts once in a hundred starts or so on a busy machine, before the guest's first word
    /// (`iotlb_to_section`), and more rarely a guest hangs there: then it is started once more.
    pub fn run(&self, programs: &Programs, job: &Job, sinks: impl Fn() -> Result<Sinks>) -> Result<Outcome> {
        let error = match self.start(programs, job, sinks()?) {
            Err(error) => error,
            outcome => return outcome,
        };
        match error.downcast_ref::<Broken>().filter(|broken| broken.is_stillborn()) {
            Some(Broken { failure, .. }) => {
                eprintln!("xtask: {failure}; it is started once more");
                self.start(programs, job, sinks()?)
            }
            None => Err(error),
        }
    }

    fn start(&self, programs: &Programs, job: &Job, sinks: Sinks) -> Result<Outcome> {
        let initramfs = self.initramfs(programs, job)?;
        let memory = if self.disk.is_some() { REAL_MEMORY } else { SMALL_MEMORY };
        // The initramfs is there twice while the kernel unpacks it.
        let memory = memory + 2 * initramfs.metadata()?.len() / MEGABYTE;
        let machine = Machine {
            kernel: self.kernel.image.clone(),
            initramfs,
            disk: self.disk.clone(),
            memory,
            cpus: job.cpus,
            emulator: self.emulator.clone(),
            accelerator: self.accelerator,
            timeout: job.timeout,
        };
        qemu::run(&machine, sinks)
    }

    /// The cached segments, and one more with what belongs to this run; in memory, so that nothing is left behind.
    fn initramfs(&self, programs: &Programs, job: &Job) -> Result<File> {
        let memory = memfd_create("initramfs", MemfdFlags::CLOEXEC)
            .context("could not make room for the initramfs")?;
        let mut out = File::from(memory);
        for segment in [&self.userland, &self.kernel.modules] {
            let mut segment =
                File::open(segment).with_context(|| format!("could not read {}", segment.display()))?;
            io::copy(&mut segment, &mut out)?;
        }
        let mut segment = Segment::new(io::BufWriter::new(out));
        segment.file("init", &programs.init)?;
        segment.file("usr/local/bin/macvlan-trace", &programs.tracer)?;
        let request = Request {
            system: self.system,
            command: job.command.clone(),
            environment: job.environment.clone(),
            terminal: job.terminal.clone(),
        };
        segment.bytes(REQUEST_PATH.trim_start_matches('/'), 0o600, &serde_json::to_vec(&request)?)?;
        for (index, copy) in job.copies.iter().enumerate() {
            let copy =
                copy.canonicalize().with_context(|| format!("could not find {} to copy", copy.display()))?;
            let name = copy.file_name().and_then(|name| name.to_str());
            let name =
                name.with_context(|| format!("{} has no name that the guest could use", copy.display()))?;
            if job.copies[..index].iter().any(|other| other.file_name() == copy.file_name()) {
                bail!(
                    "two of the paths to copy are called {name}: the guest's {COPIES_DIR} holds one of each name"
                );
            }
            segment.tree(&copy, &format!("{}/{name}", COPIES_DIR.trim_start_matches('/')))?;
        }
        let out = segment.finish()?;
        out.into_inner().context("could not write the initramfs")
    }
}

/// Makes guests; everything that they are made of is kept.
pub struct Guests<'a> {
    cache: PathBuf,
    archive: Archive<'a>,
    progress: &'a Progress,
}

impl<'a> Guests<'a> {
    /// Looks whether this machine can run guests, and installs what is missing.
    pub fn new(workspace: &Workspace, mirror: Option<String>, progress: &'a Progress) -> Result<Self> {
        if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
            bail!(
                "the guests are x86_64 ones and made of this machine's own programs: use an x86_64 Linux machine"
            );
        }
        install_what_is_missing(progress)?;
        let cache = workspace.target().join("vm");
        let apt = cache.join("apt");
        fs::create_dir_all(&apt).with_context(|| format!("could not make {}", apt.display()))?;
        Ok(Self { cache, archive: Archive::new(apt, mirror, progress), progress })
    }

    /// A guest on the newest kernel of the series; whatever it lacks is fetched.
    pub fn get(&self, series: &Series, system: System) -> Result<Guest> {
        let _lock = self.lock()?;
        let (modules, disk) = match system {
            System::Small => (modules::SMALL, None),
            System::Disk | System::Systemd => {
                (modules::REAL, Some(real::disk(&self.cache, &self.archive, self.progress)?))
            }
        };
        let kernels = self.cache.join("kernels");
        let kernel = kernel::get(series, &modules, &kernels, &self.archive, self.progress)?;
        let userland = userland::pack(&self.cache, &self.archive, self.progress)?;
        let emulator = Emulator::get(&self.cache, &self.archive, self.progress)?;
        let accelerator = Accelerator::find(&self.cache.join("accelerator"), &emulator, &kernel.image)?;
        Ok(Guest { system, kernel, userland, disk, emulator, accelerator })
    }

    /// Keeps the types of a guest's kernel, its BTF, in [`Guests::types`], unless they are there.
    pub fn keep_types(&self, guest: &Guest, programs: &Programs) -> Result<()> {
        let kept = self.types().join(guest.release());
        if kept.exists() {
            return Ok(());
        }
        self.progress.say(format_args!("copying the types of {}", guest.release()));
        fs::create_dir_all(self.types())?;
        let draft =
            tempfile::NamedTempFile::new_in(&self.cache).context("could not make a temporary file")?;
        let job = Job {
            command: ["cat", "/sys/kernel/btf/vmlinux"].map(Into::into).to_vec(),
            environment: Vec::new(),
            terminal: None,
            copies: Vec::new(),
            cpus: 1,
            timeout: TYPES_TIMEOUT,
        };
        let outcome = guest
            .run(programs, &job, || Ok(Sinks { stdout: Box::new(draft.reopen()?), ..standard_streams() }));
        match outcome? {
            Outcome::Exited(0) => {}
            outcome => bail!("{} shows no types: cat ended with {}", guest.release(), outcome.code()),
        }
        draft.persist(&kept).with_context(|| format!("could not keep {}", kept.display()))?;
        Ok(())
    }

    /// The directory with the types of kernels, one file each.
    pub fn types(&self) -> PathBuf {
        self.cache.join("btf")
    }

    /// One xtask at a time may change the cache.
    fn lock(&self) -> Result<File> {
        let path = self.cache.join("lock");
        let file = File::create(&path).with_context(|| format!("could not make {}", path.display()))?;
        flock(&file, FlockOperation::LockExclusive)
            .with_context(|| format!("could not lock {}", path.display()))?;
        Ok(file)
    }
}

fn install_what_is_missing(progress: &Progress) -> Result<()> {
    let mut packages = host::missing_packages(&TOOLS);
    if !Path::new(KEYRING).exists() {
        packages.push("debian-archive-keyring");
    }
    let result = host::install(&packages, progress);
    if host::is_debian() {
        return result;
    }
    // Said at once: the archive of another distribution has no Debian kernels.
    result.context("guests boot kernels of Debian's archive, a mirror of which --mirror URL has to name here")
}

/// The terminal of the person who asked for a shell, given over to the guest: every key goes there.
struct Seat {
    terminal: Terminal,
    before: Termios,
}

impl Seat {
    fn take() -> Result<Self> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            bail!("a shell needs a terminal: give the command to run after `--`");
        }
        eprintln!("xtask: a shell in the guest; `exit` ends it");
        let size = tcgetwinsize(io::stdin())?;
        let kind = std::env::var_os("TERM").unwrap_or_else(|| "vt100".into());
        let before = tcgetattr(io::stdin()).context("could not read the terminal's settings")?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw).context("could not set the terminal")?;
        Ok(Self { terminal: Terminal { rows: size.ws_row, columns: size.ws_col, kind }, before })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // When this fails the terminal has gone.
        tcsetattr(io::stdin(), OptionalActions::Now, &self.before).ok();
        io::stdout().flush().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_real_image_has_systemd() {
        assert_eq!(system(Image::Small, Init::Script).ok(), Some(System::Small));
        assert_eq!(system(Image::Real, Init::Script).ok(), Some(System::Disk));
        assert_eq!(system(Image::Real, Init::Systemd).ok(), Some(System::Systemd));
        assert!(system(Image::Small, Init::Systemd).is_err());
    }
}
