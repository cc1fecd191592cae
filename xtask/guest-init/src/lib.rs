//! The messages between the host and the guest's init.
//!
//! The host puts a [`Request`] into the initramfs; the guest answers with [`Report`]s, one JSON line each, on
//! the port [`port::CONTROL`]. The command's output has ports of its own, so that nothing else mixes into it.

use std::ffi::OsString;

use serde::{Deserialize, Serialize};

/// Where the initramfs holds the [`Request`].
pub const REQUEST_PATH: &str = "/request.json";

/// Where the paths of `--copy` appear in the guest.
pub const COPIES_DIR: &str = "/mnt";

/// Where the ports appear in the guest under their names, as with udev.
pub const PORTS_DIR: &str = "/dev/virtio-ports";

/// The names of the virtio-serial ports.
pub mod port {
    /// Reports, from the guest to the host.
    pub const CONTROL: &str = "control";
    /// The command's standard output; for a shell on a terminal, both directions of that terminal.
    pub const STDOUT: &str = "stdout";
    /// The command's standard error.
    pub const STDERR: &str = "stderr";
    /// Lines `carrier off` and `carrier on` pull the cable of the guest's network card and put it back; `plug` and
    /// `unplug` plug a second card in and pull it out. The host answers each with the line `done` once it has happened,
    /// or with a line that says why it failed; the guest's kernel notices it a moment later.
    pub const CARDS: &str = "cards";
}

/// The system around the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum System {
    /// The initramfs alone.
    Small,
    /// The disk, with guest-init as its first process.
    Disk,
    /// The disk, with its own systemd as its first process, of which guest-init is a service.
    Systemd,
}

/// What the guest is to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Where to run it.
    pub system: System,
    /// The program, looked up on the guest's PATH, and its arguments.
    pub command: Vec<OsString>,
    /// Variables added to the command's environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Set when a person sits in front of the command.
    pub terminal: Option<Terminal>,
}

/// The terminal in front of an interactive command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminal {
    /// Height in characters.
    pub rows: u16,
    /// Width in characters.
    pub columns: u16,
    /// The value of TERM.
    pub kind: OsString,
}

/// What the guest tells the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// The guest is up and the command is about to start.
    Started,
    /// The command ended by itself.
    Exited {
        /// Its exit status.
        code: i32,
    },
    /// A signal ended the command.
    Killed {
        /// The signal's number.
        signal: i32,
    },
    /// The guest could not run the command.
    Failed {
        /// What went wrong, in one sentence.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn a_request_keeps_arguments_that_are_not_unicode() {
        let request = Request {
            system: System::Small,
            command: vec!["echo".into(), OsString::from_vec(vec![b'a', 0xff, b'\n'])],
            environment: vec![("NAME".into(), "a value".into())],
            terminal: Some(Terminal { rows: 25, columns: 80, kind: "vt100".into() }),
        };
        let json = serde_json::to_string(&request).expect("a request is always JSON");
        assert_eq!(serde_json::from_str::<Request>(&json).expect("it reads back"), request);
    }

    #[test]
    fn a_report_is_one_line() {
        let json = serde_json::to_string(&Report::Failed { why: "one\ntwo".into() }).expect("JSON");
        assert_eq!(json.lines().count(), 1);
    }
}
