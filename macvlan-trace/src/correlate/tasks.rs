//! Tasks, whole: the kernel side sends a task's facts once, and refers to them afterwards.

use std::{
    collections::{HashMap, VecDeque},
    rc::Rc,
};

use crate::fact::{Cgroup, ProcessId, Task, TaskRef};

/// Tasks remembered; the one learnt first is forgotten first. What still matters is held by whoever needs it.
const MAX_TASKS: usize = 8192;

/// What is known about tasks.
#[derive(Default)]
pub struct Tasks {
    known: HashMap<(ProcessId, u32), Rc<Task>>,
    order: VecDeque<(ProcessId, u32)>,
}

impl Tasks {
    /// Learns a task, or its new state. A task that is ending has no memory and no namespaces any more: what was known
    /// of them stays true.
    pub fn learn(&mut self, mut task: Task) {
        let key = (task.task.process, task.task.tid);
        if let Some(known) = self.known.get(&key) {
            task.args = task.args.or_else(|| known.args.clone());
            task.netns = task.netns.or(known.netns);
            task.mntns = task.mntns.or(known.mntns);
        }
        if self.known.insert(key, Rc::new(task)).is_none() {
            self.order.push_back(key);
            if self.order.len() > MAX_TASKS {
                if let Some(oldest) = self.order.pop_front() {
                    self.known.remove(&oldest);
                }
            }
        }
    }

    /// The task whole, or as much of it as a record carries.
    pub fn whole(&self, task: &TaskRef) -> Rc<Task> {
        match self.known.get(&(task.process, task.tid)) {
            // A record is newer than what was learnt: the name may have changed since.
            Some(known) if known.task == *task => Rc::clone(known),
            Some(known) => Rc::new(Task { task: task.clone(), ..(**known).clone() }),
            None => Rc::new(Task {
                task: task.clone(),
                args: None,
                uid: None,
                login_uid: None,
                ancestors: Vec::new(),
                cgroup: Cgroup::default(),
                netns: None,
                mntns: None,
                tty: None,
            }),
        }
    }
}
