//! A process took the driver of the device below away: a module unloaded, a device unbound, virtual functions made anew.

use crate::{
    correlate::{Cause, has_any},
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
};

/// How a process takes a driver away: `rmmod`, and writes to files of sysfs.
const WAYS: [&str; 9] = [
    "__do_sys_delete_module",
    "__x64_sys_delete_module",
    "__arm64_sys_delete_module",
    "__se_sys_delete_module",
    "unbind_store",
    "remove_store",
    "sriov_numvfs_store",
    "device_release_driver_internal",
    "rtnl_link_unregister",
];

/// The rule.
pub const RULE: Rule = Rule {
    name: "driver-reloaded",
    page: include_str!("../pages/driver-reloaded.md"),
    judge: |case| {
        let Cause::ParentDeleted { parent, by } = &case.cause else { return None };
        let Cause::Request(task) = &**by else { return None };
        has_any(&case.fact.stack, &WAYS).then(|| Verdict {
            rule: RULE.name,
            cause: format!(
                "{}{} took the driver of {}, the parent of {}, away",
                words::process_with_command(task),
                words::called_by(task),
                parent.name,
                case.fact.link.name,
            ),
            remedy: Some(
                "Drain what uses the parent before its driver is reloaded, and make the links again afterwards.".into(),
            ),
            confidence: Confidence::Certain,
            culprit: Some(Culprit::new(task)),
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::testing::story::{cast::deletes_parent, process, worker};

    #[test]
    fn who_takes_the_driver_of_the_parent_away_is_the_culprit() {
        let by = process("rmmod", 702);
        let told = deletes_parent(&by, "__x64_sys_delete_module");
        told.last().verdict("driver-reloaded", "certain").culprit(&by);
    }

    #[test]
    fn a_bus_that_takes_the_driver_away_in_a_worker_is_nobodys_doing() {
        let told = deletes_parent(&worker(), "device_release_driver_internal");
        told.last().verdict("parent-unplugged", "likely").nobody();
    }

    #[test]
    fn a_program_that_is_only_called_rmmod_took_no_driver_away() {
        let by = process("rmmod", 702);
        deletes_parent(&by, "rtnl_dellink").last().verdict("parent-deleted", "certain").culprit(&by);
    }
}
