//! The device below went away: unplugged, taken away by its bus, or a tap whose owner closed it.

use crate::{
    correlate::{Cause, has_any},
    diagnose::{Culprit, Rule, Verdict, words},
    event::Confidence,
};

/// What a bus or a driver calls to remove a device.
const REMOVAL: [&str; 8] = [
    "device_release_driver_internal",
    "device_release_driver",
    "__device_release_driver",
    "usb_disconnect",
    "usb_unbind_interface",
    "pci_device_remove",
    "pci_stop_and_remove_bus_device",
    "virtio_dev_remove",
];
/// What removes a tun or tap device when its descriptor is closed.
const TUN: [&str; 3] = ["tun_chr_close", "__tun_detach", "tun_detach"];

/// The rule.
pub const RULE: Rule = Rule {
    name: "parent-unplugged",
    page: include_str!("../pages/parent-unplugged.md"),
    judge: |case| {
        let Cause::ParentDeleted { parent, by } = &case.cause else { return None };
        let (parent, link) = (&parent.name, &case.fact.link.name);
        let (cause, culprit) = match &**by {
            Cause::Request(task) if has_any(&case.fact.stack, &TUN) => (
                format!(
                    "{} closed {parent}, the parent of {link}: a tap or tun device lives only as long as its descriptor",
                    words::process_with_command(task)
                ),
                Some(Culprit::new(task)),
            ),
            Cause::Worker if has_any(&case.fact.stack, &REMOVAL) => (
                format!(
                    "The parent {parent} of {link} was unplugged or taken away by its bus; no process did this"
                ),
                None,
            ),
            _ => return None,
        };
        Some(Verdict {
            rule: RULE.name,
            cause,
            remedy: Some(
                "Make the link again when the parent is back; a tap can be made to stay (`ip tuntap add`)."
                    .into(),
            ),
            confidence: Confidence::Certain,
            culprit,
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::correlate::story::{cast::deletes_parent, process, worker};

    #[test]
    fn a_tap_goes_with_its_descriptor() {
        let by = process("qemu", 701);
        let told = deletes_parent(&by, "tun_chr_close");
        told.last().verdict("parent-unplugged", "certain").culprit(&by);
    }

    #[test]
    fn a_card_that_is_unplugged_is_nobodys_doing() {
        deletes_parent(&worker(), "usb_disconnect").last().verdict("parent-unplugged", "certain").nobody();
    }
}
