//! A guest's network cards: whatever runs in the guest may ask to have the cable of the first pulled and put back, and a
//! second card plugged in and pulled out.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::os::unix::net::UnixStream;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

/// What QEMU calls the card that is always there.
pub const NIC: &str = "nic";
/// What it calls the slot of the second.
pub const SLOT: &str = "second-slot";
/// What it calls the second.
const SECOND: &str = "second";

/// Does what the guest asks for on its port, over QEMU's monitor, and answers, until either has gone.
pub fn serve(port: &UnixStream, monitor: UnixStream) {
    let Ok(mut monitor) = Monitor::new(monitor) else { return };
    for wish in BufReader::new(port).lines().map_while(Result::ok) {
        let answer = match fulfil(&wish, &mut monitor) {
            Ok(()) => "done".to_owned(),
            Err(error) => format!("{error:#}").replace('\n', " "),
        };
        if writeln!(&*port, "{answer}").is_err() {
            return;
        }
    }
}

fn fulfil(wish: &str, monitor: &mut Monitor) -> Result<()> {
    let carrier = |up: bool| json!({ "execute": "set_link", "arguments": { "name": NIC, "up": up } });
    let command = match wish {
        "carrier on" => carrier(true),
        "carrier off" => carrier(false),
        "plug" => json!({
            "execute": "device_add",
            "arguments": { "driver": "virtio-net-pci", "id": SECOND, "bus": SLOT, "romfile": "" },
        }),
        // QEMU asks the guest to let go of it; the guest does.
        "unplug" => json!({ "execute": "device_del", "arguments": { "id": SECOND } }),
        other => bail!("nothing of that kind can be done to the network cards: {other:?}"),
    };
    monitor.execute(&command)
}

/// QEMU's monitor, which speaks JSON, one object a line.
struct Monitor {
    commands: UnixStream,
    replies: Lines<BufReader<UnixStream>>,
}

impl Monitor {
    fn new(stream: UnixStream) -> Result<Self> {
        let replies = BufReader::new(stream.try_clone()?).lines();
        let mut monitor = Self { commands: stream, replies };
        monitor.execute(&json!({ "execute": "qmp_capabilities" }))?;
        Ok(monitor)
    }

    /// Runs a command. Its greeting and the events that it reports are not replies.
    fn execute(&mut self, command: &Value) -> Result<()> {
        writeln!(self.commands, "{command}").context("could not talk to QEMU's monitor")?;
        loop {
            let line = self.replies.next().context("QEMU's monitor hung up")??;
            let reply: Value = serde_json::from_str(&line).context("QEMU's monitor speaks no JSON")?;
            if let Some(error) = reply.get("error") {
                bail!("QEMU refused: {}", error["desc"].as_str().unwrap_or("without a reason"));
            }
            if reply.get("return").is_some() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// A monitor that greets, reports an event before every reply, and refuses to put the cable back.
    fn half_hearted(stream: &UnixStream) -> Vec<Value> {
        writeln!(&*stream, r#"{{"QMP": {{}}}}"#).expect("it listens");
        let mut commands = Vec::new();
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let command: Value = serde_json::from_str(&line).expect("JSON");
            let refused = command["arguments"]["up"] == true;
            writeln!(&*stream, r#"{{"event": "SOMETHING", "data": {{}}}}"#).expect("it listens");
            let reply = if refused { json!({"error": {"desc": "no"}}) } else { json!({"return": {}}) };
            writeln!(&*stream, "{reply}").expect("it listens");
            commands.push(command);
        }
        commands
    }

    #[test]
    fn every_wish_is_answered_when_it_has_been_fulfilled() -> Result<()> {
        let (guest, port) = UnixStream::pair()?;
        let (ours, theirs) = UnixStream::pair()?;
        let monitor = thread::spawn(move || half_hearted(&theirs));
        let server = thread::spawn(move || serve(&port, ours));
        let mut answers = BufReader::new(guest.try_clone()?).lines();
        let mut ask = |wish: &str| -> Result<String> {
            writeln!(&guest, "{wish}")?;
            Ok(answers.next().context("an answer")??)
        };
        assert_eq!(ask("carrier off")?, "done");
        assert_eq!(ask("carrier on")?, "QEMU refused: no");
        assert_eq!(ask("plug")?, "done");
        assert_eq!(ask("unplug")?, "done");
        assert_eq!(ask("of\tf")?, r#"nothing of that kind can be done to the network cards: "of\tf""#);
        guest.shutdown(std::net::Shutdown::Both)?;
        server.join().expect("it ends with the guest");
        let commands = monitor.join().expect("it ends with the server");
        assert_eq!(commands[0], json!({"execute": "qmp_capabilities"}));
        assert_eq!(commands[1], json!({"execute": "set_link", "arguments": {"name": "nic", "up": false}}));
        let rest: Vec<_> = commands[2..].iter().map(|command| &command["execute"]).collect();
        assert_eq!(rest, ["set_link", "device_add", "device_del"]);
        Ok(())
    }
}
