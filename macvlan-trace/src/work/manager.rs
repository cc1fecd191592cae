//! Service managers: the first process of the machine, and those of its users.

use crate::fact::Task;

/// Whether a task is the first process of the machine. Where that is systemd, it manages the units of the machine.
pub fn is_machines(task: &Task) -> bool {
    let task = &task.task;
    task.process.tgid == 1 && task.pidns_level == 0 && !task.kthread
}

/// The unit of a user's manager (`user@1000.service`), if a task is one: systemd gives that a control group of its own
/// below the unit.
pub fn of_user(task: &Task) -> Option<String> {
    let mut names = names(task).rev();
    let is_own = names.next() == Some("init.scope");
    names
        .next()
        .filter(|unit| is_own && task.task.pidns_level == 0 && unit.starts_with("user@"))
        .map(str::to_owned)
}

/// The unit of a task that the manager in that unit made: the next service or scope below it.
pub fn unit_below(task: &Task, manager: &str) -> Option<String> {
    const SUFFIXES: [&str; 2] = [".service", ".scope"];
    let mut below = names(task).skip_while(|name| *name != manager).skip(1);
    below.find(|name| SUFFIXES.iter().any(|suffix| name.ends_with(suffix))).map(str::to_owned)
}

/// The names of the path of a task's control group, outermost first.
fn names(task: &Task) -> impl DoubleEndedIterator<Item = &str> {
    let path = task.cgroup.path.as_ref().and_then(|path| str::from_utf8(path.as_bytes()).ok());
    path.unwrap_or_default().split('/').filter(|name| !name.is_empty())
}
