//! With systemd as the first process: managers of links in their own units, and who only looks like one.

mod decoys;
mod network_manager;
mod networkd;
mod networking;

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::harness::{ip, ip_path, run};

const NETWORK_MANAGER: &str = "NetworkManager.service";
const NETWORKD: &str = "systemd-networkd.service";

/// The card, which is managed, and no manager but this one; it stays for the next test.
fn only_manager(unit: &str) {
    let others: &[&str] = match unit {
        NETWORKD => &[NETWORK_MANAGER],
        _ => &[NETWORKD, "systemd-networkd.socket"],
    };
    run("systemctl", &[&["stop"], others].concat());
    ip("link set eth0 up");
    run("systemctl", &["start", unit]);
    if unit == NETWORKD {
        // It goes by the files of the test before, until it is told that they have gone.
        run("networkctl", &["reload"]);
    }
}

/// A macvlan link on the card with the address 192.0.2.7, which no manager has made; it goes with the test.
struct Foreign(&'static str);

impl Foreign {
    fn link(name: &'static str) -> Self {
        ip(&format!("link add {name} link eth0 type macvlan mode bridge"));
        // udev gives it another hardware address in its own time.
        run("udevadm", &["settle"]);
        let link = Self(name);
        link.set_up();
        link
    }

    fn set_up(&self) {
        ip(&format!("link set {} up", self.0));
        ip(&format!("addr replace 192.0.2.7/24 dev {}", self.0));
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let mut delete = Command::new(ip_path());
        let _ = delete.args(["link", "del", self.0]).stderr(std::process::Stdio::null()).status();
    }
}

/// A file that goes with the test.
struct File(String);

impl File {
    fn write(path: &str, text: &str) -> Self {
        let folder = Path::new(path).parent().expect("an absolute path");
        fs::create_dir_all(folder).expect("a folder can be made");
        fs::write(path, text).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self(path.to_owned())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Does what a remedy says: puts the lines in backquotes into the file, and runs the command after it.
fn paste(verdict: &Value) -> File {
    let remedy = verdict["remedy"].as_str().expect("a remedy");
    let (_, put) = remedy.split_once(" put ").expect("something to put");
    let (lines, rest) = put.split_once(" into ").expect("a place to put it");
    let (path, rest) = rest.split_once(", then `").expect("something to do then");
    let (command, _) = rest.split_once('`').expect("a command in backquotes");
    let lines: Vec<_> = lines.split('`').skip(1).step_by(2).collect();
    let file = File::write(path, &(lines.join("\n") + "\n"));
    run("sh", &["-c", command]);
    file
}
