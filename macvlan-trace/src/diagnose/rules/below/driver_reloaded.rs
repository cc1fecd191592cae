//! A process made the kernel drop the device below: it unloaded a module, unbound or removed a device, or removed
//! virtual functions.

use crate::{
    correlate::Cause,
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
    kernel::path::Path,
    sentence::sentence,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "driver-reloaded",
    page: include_str!("../../pages/driver-reloaded.md"),
    judge: |case| {
        let (Cause::ParentDeleted { .. }, Cause::Request(task)) = (&case.cause, case.cause.root()) else {
            return None;
        };
        let (deed, confidence) = deed(&case.fact.path)?;
        Some(Verdict {
            rule: RULE.name,
            cause: sentence!(
                "{} {}, and with that {}, went",
                words::who(task),
                deed,
                words::lost_device(case),
            ),
            remedy: Some(
                "Drain what uses the parent before its driver or device is taken away, and make the links again \
                 afterwards"
                    .into(),
            ),
            confidence,
            culprit: Some(Culprit::new(task)),
        })
    },
};

/// What the task did, the outermost act first: the kernel removes a device together with its virtual functions. The
/// path does not show which module or device it was: it may be one further below, such as the controller of a USB
/// adapter.
fn deed(path: &Path) -> Option<(&'static str, Confidence)> {
    if path.unloads_module() || path.unregisters_kind() {
        Some(("unloaded a kernel module", Confidence::Certain))
    } else if path.unbinds_driver() {
        Some(("unbound a device from its driver", Confidence::Certain))
    } else if path.removes_device() {
        Some(("removed a device from its bus", Confidence::Certain))
    } else if path.removes_vfs() {
        Some(("had virtual functions of a card removed", Confidence::Certain))
    } else if path.releases_device() {
        Some((
            "did something that made a driver let go of a device (the kernel's path does not show what)",
            Confidence::Likely,
        ))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::story::{
        cast::{deletes_parent, deletes_parent_through},
        process, worker,
    };

    #[test]
    fn who_takes_the_parent_from_the_kernel_is_told_with_what_it_did_and_no_more() {
        let by = process("tee", 702);
        let release: &[&str] = &["device_release_driver_internal"];
        let functions: &[&str] =
            &["device_release_driver_internal", "pci_iov_remove_virtfn", "sriov_disable"];
        for (inner, outer, confidence, deed) in [
            (release, "__x64_sys_delete_module", "certain", "unloaded a kernel module"),
            (&[], "rtnl_link_unregister", "certain", "unloaded a kernel module"),
            (release, "unbind_store", "certain", "unbound a device from its driver"),
            (release, "remove_store", "certain", "removed a device from its bus"),
            (functions, "sriov_numvfs_store", "certain", "had virtual functions of a card removed"),
            // What is done to the card itself is more.
            (functions, "remove_store", "certain", "removed a device from its bus"),
            (
                release,
                "usb_set_configuration",
                "likely",
                "did something that made a driver let go of a device",
            ),
        ] {
            let path: Vec<_> = inner.iter().copied().chain([outer]).collect();
            let told = deletes_parent_through(&by, &path);
            told.last()
                .verdict("driver-reloaded", confidence)
                .culprit(&by)
                .says("/verdict/cause", &format!("tee (PID 702) {deed}"))
                .says("/verdict/cause", ", and with that eth0, the parent of macvlan0, went");
        }
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
