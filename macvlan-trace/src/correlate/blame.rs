//! The causes of a change, and how a kernel path shows them.

use std::rc::Rc;

use super::{Case, Stop, gaps::Gap, parents::ParentChange};
use crate::{
    fact::{Cgroup, ExitStatus, Ktime, Link, Task, TaskRef},
    kernel::path::Path,
};

/// How a change came about.
#[derive(Clone, Debug)]
pub enum Cause {
    /// The actor asked for it itself.
    Request(Rc<Task>),
    /// The kernel tore the link's network namespace down.
    NamespaceEnded(Rc<NamespaceEnd>),
    /// The link below was deleted.
    ParentDeleted {
        /// That link.
        parent: Link,
        /// How that came about.
        by: Box<Cause>,
    },
    /// The link's driver was unloaded.
    ModuleUnloaded(Rc<Task>),
    /// Its own creation failed at a later step, and was undone.
    CreationFailed(Rc<Task>),
    /// The link below changed: it went down or came up, was moved, or its carrier went or came.
    ParentChanged(Rc<ParentChange>),
    /// Somebody cleared the link, or a device below, away after the main process of its container had ended.
    Cleanup {
        /// That end.
        ended: Rc<Ended>,
        /// Generation of the namespace that the process lived in.
        generation: u64,
        /// Who cleared it away.
        by: Rc<Task>,
    },
    /// Somebody gave the start of a link up, since an earlier request for it had failed.
    GivenUp {
        /// The request that failed.
        failed: Rc<Case>,
        /// Who gave up.
        by: Rc<Task>,
    },
    /// A kernel worker did it, or a softirq on top of an uninvolved task, for an unknown reason.
    Worker,
    /// Only the effect was seen.
    Unseen(Gap),
}

impl Cause {
    /// What began it, whichever devices passed it on.
    #[must_use]
    pub fn root(&self) -> &Self {
        let mut cause = self;
        loop {
            cause = match cause {
                Self::ParentDeleted { by, .. } => by,
                Self::ParentChanged(change) => &change.first().by,
                _ => return cause,
            };
        }
    }

    /// The devices that went and took the parent along: the first one to go comes first, the parent is the last.
    #[must_use]
    pub fn deleted(&self) -> Vec<&Link> {
        let mut devices = Vec::new();
        let mut cause = self;
        while let Self::ParentDeleted { parent, by } = cause {
            devices.push(parent);
            cause = by;
        }
        devices.reverse();
        devices
    }

    /// The same for a link that has been there since then.
    #[must_use]
    pub fn of_link_since(self, since: Option<Ktime>) -> Self {
        match self {
            Self::NamespaceEnded(end) => Self::NamespaceEnded(end.of_link_since(since)),
            Self::ParentDeleted { parent, by } => {
                Self::ParentDeleted { parent, by: Box::new(by.of_link_since(since)) }
            }
            cause => cause,
        }
    }

    /// The end of a network namespace that caused it: the link's own, or that of a device below.
    #[must_use]
    pub fn namespace_end(&self) -> Option<&NamespaceEnd> {
        match self.root() {
            Self::NamespaceEnded(end) => Some(end),
            _ => None,
        }
    }

    /// The end of a process that caused it.
    #[must_use]
    pub fn exit(&self) -> Option<&Rc<Ended>> {
        match self.root() {
            Self::Cleanup { ended, .. } => Some(ended),
            Self::NamespaceEnded(end) => match &end.trigger {
                Trigger::Exit(ended) => Some(ended),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The end of a network namespace.
#[derive(Clone, Debug)]
pub struct NamespaceEnd {
    /// Tells apart namespaces that had the same address one after the other.
    pub generation: u64,
    /// When the last reference dropped.
    pub at: Ktime,
    /// What started it.
    pub trigger: Trigger,
    /// What gave up the last hold, whoever had lived there before. A link that came after that one's end was there for
    /// as long as this held.
    pub last_hold: Trigger,
    /// The end of the main process, if somebody else outlived it and ended the namespace.
    pub outlived: Option<Rc<Ended>>,
    /// How the last reference dropped.
    pub drop: Drop,
    /// The task that was current then.
    pub dropper: Rc<Task>,
    /// When its last mount went, if that was not the last reference.
    pub unmounted: Option<Ktime>,
}

impl NamespaceEnd {
    /// The same for a link that has been there since then: what had ended before did not take it along.
    #[must_use]
    pub fn of_link_since(self: &Rc<Self>, since: Option<Ktime>) -> Rc<Self> {
        let came_before = |at: Ktime| since.is_some_and(|since| at < since);
        let trigger = match &self.trigger {
            Trigger::Exit(ended) if came_before(ended.at) => self.last_hold.clone(),
            Trigger::Left(leave) if came_before(leave.at) => self.last_hold.clone(),
            _ if self.outlived.as_ref().is_some_and(|main| came_before(main.at)) => self.trigger.clone(),
            _ => return Rc::clone(self),
        };
        Rc::new(Self { trigger, outlived: None, ..Self::clone(self) })
    }
}

/// What started the end of a network namespace.
#[derive(Clone, Debug)]
pub enum Trigger {
    /// Its main process, or the last one, ended.
    Exit(Rc<Ended>),
    /// A process unmounted its last mount.
    Unmount(Rc<Unmount>),
    /// A process closed its last descriptor.
    Close(Rc<Task>),
    /// The last process that lived in it left it alive.
    Left(Rc<Leave>),
    /// Something that was not seen.
    Unknown,
}

/// A task left a network namespace in which it had lived, and its process lives on.
#[derive(Clone, Debug)]
pub struct Leave {
    /// When.
    pub at: Ktime,
    /// The task.
    pub task: Rc<Task>,
    /// Whether the thread ended; otherwise it went to another namespace.
    pub ended: bool,
}

/// The last mount of a network namespace went.
#[derive(Clone, Debug)]
pub struct Unmount {
    /// When.
    pub at: Ktime,
    /// Who unmounted it.
    pub task: Rc<Task>,
}

/// How the last reference to a namespace dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drop {
    /// A task ended.
    Exit,
    /// A mount went.
    Unmount,
    /// A file was closed.
    Close,
    /// A task changed its namespaces.
    Switch,
    /// It dropped later, outside the context of the responsible task. The current task was merely interrupted.
    Deferred,
    /// Not known: the path has no names.
    Unknown,
    /// No probe saw it drop, but the kernel tears the namespace down, so it did.
    Unseen,
}

/// A process that ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The process.
    pub task: Rc<Task>,
    /// When.
    pub at: Ktime,
    /// How.
    pub status: ExitStatus,
    /// Whether a core was dumped.
    pub core_dumped: bool,
    /// Whether it was the init of a pid namespace.
    pub is_init: bool,
    /// Whether a process inside powered off or rebooted its pid namespace. Then the kernel sends SIGKILL to the init
    /// (`reboot_pid_ns`).
    pub powered_off: bool,
    /// The signal that made it end.
    pub kill: Option<Kill>,
    /// The runtime's request to end, if that ended it, or if a runtime's SIGKILL did afterwards.
    pub asked: Option<Kill>,
    /// Why the first of these signals was sent, if its sender had been told to end.
    pub behind: Option<Rc<Stop>>,
    /// Set if memory had run out and the kernel had chosen it, or another process of its namespace.
    pub oom: Option<OutOfMemory>,
}

/// Which process the kernel chose when memory ran out, relative to the process that ended.
#[derive(Clone, Debug)]
pub enum Chosen {
    /// That process.
    Itself,
    /// Another one of its namespace; both were killed together (`memory.oom.group`).
    Another,
    /// One that it had started; afterwards it ended by itself.
    Descendant(Rc<Task>),
}

/// Memory ran out.
#[derive(Clone, Debug)]
pub struct OutOfMemory {
    /// When.
    pub at: Ktime,
    /// Whom the kernel chose.
    pub chosen: Chosen,
    /// The control group whose limit was reached; `None` if the whole machine had no memory left.
    pub limit: Option<Cgroup>,
}

impl Ended {
    /// Whether the kernel itself sent it SIGKILL: it ran out of memory, or its pid namespace ended.
    #[must_use]
    pub fn was_killed_by_kernel(&self) -> bool {
        self.status == ExitStatus::Signal(9) && self.kill.as_ref().is_some_and(|kill| kill.sender.is_none())
    }
}

/// A signal that made a process end.
#[derive(Clone, Debug)]
pub struct Kill {
    /// When.
    pub at: Ktime,
    /// Its number.
    pub number: u32,
    /// Who sent it; `None` for the kernel.
    pub sender: Option<Rc<Task>>,
    /// Whether it ended the process directly; otherwise the process handled it and exited.
    pub fatal: bool,
    /// Whether the process ignored it.
    pub ignored: bool,
    /// Whether the kernel sent it on behalf of another process of the init's own pid namespace.
    pub for_inside: bool,
    /// What is known of the terminal for which the kernel sent it.
    pub terminal: Option<Terminal>,
}

/// The terminal of a process, for which the kernel sent it SIGHUP, SIGINT or SIGQUIT.
#[derive(Clone, Debug, Default)]
pub struct Terminal {
    /// Who closed it, or ended as the leader of its session; `None` if the kernel did not act in the context of a process.
    pub by: Option<Rc<Task>>,
    /// Who had killed that process, if that was seen.
    pub killed_by: Option<Rc<Task>>,
}

/// Whether the current task has nothing to do with the path: it is a kernel thread, or was interrupted.
pub fn is_innocent(task: &TaskRef, path: &Path) -> bool {
    task.kthread || task.process.tgid == 0 || path.is_interrupted()
}

/// How a reference dropped, by the path.
pub fn drop_path(task: &TaskRef, path: &Path) -> Drop {
    if is_innocent(task, path) {
        Drop::Deferred
    } else if path.unmounts() {
        Drop::Unmount
    } else if path.closes_file() {
        Drop::Close
    } else if path.exits() {
        Drop::Exit
    } else if path.switches_namespaces() {
        Drop::Switch
    } else {
        Drop::Unknown
    }
}
