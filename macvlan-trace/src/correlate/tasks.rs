//! Complete tasks: the kernel side sends all facts of a task once, and refers to them afterwards.

use std::rc::Rc;

use crate::{
    bounded::Bounded,
    fact::{Cgroup, ProcessId, Task, TaskRef},
};

/// Tasks remembered. Code that needs one for longer keeps a reference.
const MAX_TASKS: usize = 8192;

/// What is known about tasks.
#[derive(Default)]
pub struct Tasks {
    known: Bounded<(ProcessId, u32), Rc<Task>, MAX_TASKS>,
}

impl Tasks {
    /// Learns a task, or its new state. A task that is ending has neither memory nor namespaces any more; then the
    /// known ones are kept.
    pub fn learn(&mut self, mut task: Task) {
        if let Some(known) = self.known.get(&key(&task.task)) {
            if runs_the_same(&known.task, &task.task) {
                task.args = task.args.or_else(|| known.args.clone());
                task.exe = task.exe.or_else(|| known.exe.clone());
            }
            task.netns = task.netns.or(known.netns);
            task.mntns = task.mntns.or(known.mntns);
        }
        self.keep(task);
    }

    /// The complete task, or as much of it as a record carries.
    pub fn whole(&mut self, task: &TaskRef) -> Rc<Task> {
        match self.known.get_mut(&key(task)) {
            Some(known) if known.task == *task => Rc::clone(known),
            // The record is newer than the known state, so the name may have changed.
            Some(known) => {
                let mut newer = Task { task: task.clone(), ..Task::clone(known) };
                if !runs_the_same(&known.task, task) {
                    (newer.args, newer.exe) = (None, None);
                }
                self.keep(newer)
            }
            None => Rc::new(Task {
                task: task.clone(),
                args: None,
                exe: None,
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

    /// The process of a task: what is not known of that thread, another one may have shown.
    pub fn process(&mut self, task: &TaskRef) -> Rc<Task> {
        if self.known.get(&key(task)).is_some() {
            return self.whole(task);
        }
        let known = self.known.iter().find(|((process, _), _)| *process == task.process);
        match known.map(|(_, known)| Rc::clone(known)) {
            Some(known) => Rc::new(Task { task: task.clone(), ..Task::clone(&known) }),
            None => self.whole(task),
        }
    }

    /// How many were pushed out by others.
    pub fn evicted(&self) -> u64 {
        self.known.evicted()
    }

    /// A task takes kilobytes, and the kernel side sends it again whenever its CPU has reported another one in between.
    /// So the same state is kept only once.
    fn keep(&mut self, task: Task) -> Rc<Task> {
        let known = self.known.get_or_insert_with(key(&task.task), || Rc::new(task.clone()));
        if **known != task {
            *known = Rc::new(task);
        }
        Rc::clone(known)
    }
}

fn key(task: &TaskRef) -> (ProcessId, u32) {
    (task.process, task.tid)
}

/// Whether a task still runs the program that it ran: `execve` gives it the name of the new one (`begin_new_exec`).
fn runs_the_same(before: &TaskRef, now: &TaskRef) -> bool {
    before.comm == now.comm
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::story::{in_cgroup, process, running, thread};
    use crate::text::Text;

    fn unreadable(mut task: Task) -> Task {
        (task.args, task.exe) = (None, None);
        task
    }

    #[test]
    fn a_task_that_is_ending_keeps_what_is_gone_by_now() {
        let mut tasks = Tasks::default();
        let task = running(process("dhcpcd", 7), "/usr/sbin/dhcpcd -b");
        tasks.learn(task.clone());
        tasks.learn(Task { netns: None, ..unreadable(task.clone()) });
        assert_eq!(*tasks.whole(&task.task), task);
    }

    #[test]
    fn the_arguments_of_the_program_before_are_not_those_of_the_next() {
        let mut tasks = Tasks::default();
        let before = running(process("dhcpcd", 7), "/usr/sbin/dhcpcd -b");
        let mut after = before.clone();
        after.task.comm = Text::from("ip");
        // Whether its own could not be read, or its record was lost.
        for lost in [false, true] {
            tasks.learn(before.clone());
            if !lost {
                tasks.learn(unreadable(after.clone()));
            }
            let known = tasks.whole(&after.task);
            assert_eq!((&known.args, &known.exe), (&None, &None), "lost: {lost}");
        }
        tasks.learn(after.clone());
        assert_eq!(tasks.whole(&after.task).args, after.args);
    }

    #[test]
    fn one_thread_shows_what_its_process_is() {
        let mut tasks = Tasks::default();
        let leader = in_cgroup(running(process("dockerd", 7), "dockerd"), "/system.slice/docker.service");
        let worker = thread(leader.clone(), 9);
        tasks.learn(worker.clone());
        let found = tasks.process(&leader.task);
        assert_eq!((&found.task, &found.cgroup), (&leader.task, &worker.cgroup));
        assert_eq!(tasks.process(&process("other", 8).task).args, None);
    }

    #[test]
    fn one_state_of_a_task_is_kept_once() {
        let mut tasks = Tasks::default();
        let task = process("dockerd", 7);
        tasks.learn(task.clone());
        let first = tasks.whole(&task.task);
        tasks.learn(task.clone());
        assert!(Rc::ptr_eq(&first, &tasks.whole(&task.task)), "it was learnt again");
        let mut renamed = task.task.clone();
        renamed.comm = Text::from("exec");
        assert!(Rc::ptr_eq(&tasks.whole(&renamed), &tasks.whole(&renamed)), "a record had another name");
    }

    #[test]
    fn a_task_that_lives_long_is_not_forgotten_for_many_that_do_not() {
        let mut tasks = Tasks::default();
        let daemon = process("dockerd", 7);
        tasks.learn(daemon.clone());
        for pid in 10..20_000 {
            tasks.learn(process("true", pid));
            assert_eq!(tasks.whole(&daemon.task).args, daemon.args, "after {pid}");
        }
        assert_eq!(tasks.whole(&process("true", 10).task).args, None);
        assert_eq!(tasks.evicted(), 20_000 - 10 + 1 - MAX_TASKS as u64);
    }
}
