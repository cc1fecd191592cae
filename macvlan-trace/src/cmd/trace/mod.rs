//! A live run: sends this machine's facts through the pipeline until something stops it.

mod command;
mod stop;

use std::{ffi::OsString, fs::File, io, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use self::{command::Command, stop::Stops};
use super::screen;
use crate::{
    cli::Cli,
    fact::{Fact, What},
    live::{Live, Settings, clock, lookup::netns_choice},
    output::{Output, messages::Messages},
    pipeline::{Pipeline, View},
    record::{Recorder, Rotation},
    sink::Format,
};

/// How many facts are taken before signals and timers get their turn.
const BATCH: usize = 1024;
/// How long the namespaces of a traced command may take to end after it.
const TEARDOWN: Duration = Duration::from_secs(5);
/// How often that is checked.
const TEARDOWN_TICK: Duration = Duration::from_millis(20);
/// How long the outputs may take to write what is left, once the run has ended.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What to trace, how to show it, and how long.
pub struct Options {
    /// What the stream needs to know.
    pub settings: Settings,
    /// What is shown.
    pub view: View,
    /// How it is shown.
    pub format: Box<dyn Format>,
    /// Stop after that time.
    pub timeout: Option<Duration>,
    /// Run this command, and stop when it has ended.
    pub command: Vec<OsString>,
    /// Where the stream is recorded.
    pub record: Option<Recording>,
}

/// Where the stream is recorded.
pub struct Recording {
    /// The file, or what the names of the segments begin with.
    pub path: PathBuf,
    /// When to begin another file.
    pub rotation: Option<Rotation>,
}

impl Options {
    /// The options of a command line. If a namespace does not exist, that is an error: no event could match.
    pub fn of(cli: Cli) -> Result<Self> {
        let netns =
            cli.view.filter.netns.iter().map(|netns| netns_choice::find(netns)).collect::<Result<_>>()?;
        let look = screen::look(cli.view.verbose > 0, cli.command.is_empty());
        Ok(Self {
            settings: Settings {
                log: cli.view.verbose > 1,
                missed_after: cli.missed_after.0.filter(|_| cli.command.is_empty()),
                without: cli.without,
                state_root: cli.state_root,
            },
            view: cli.view.view(netns),
            format: screen::format(cli.view.output, look),
            timeout: cli.timeout,
            command: cli.command,
            record: cli.write.map(|path| {
                let rotation = cli.rotate.map(|size| Rotation { size, files: cli.files });
                Recording { path, rotation }
            }),
        })
    }
}

/// Traces. Returns the exit status: the command's own if there is one, else 1 if something could not be written.
pub fn run(options: Options) -> Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot set up the waiting for events")?;
    runtime.block_on(trace(options))
}

async fn trace(options: Options) -> Result<u8> {
    // Before anything is attached: if the record cannot be written, there is no point in tracing.
    let recorder = match &options.record {
        Some(Recording { path, rotation }) => Some(Recorder::create(path, *rotation)?),
        None => None,
    };
    let messages = Messages::start()?;
    let live = Live::start(&options.settings, messages.clone())?;
    // Before the first record: a reader who sees it knows that the tracer runs, and may stop it from then on.
    let mut stops = Stops::listen(recorder.is_some(), options.command.is_empty())?;
    let ended = Arc::new(Notify::new());
    let stdout = File::from(rustix::io::dup(rustix::stdio::stdout()).context("standard output is closed")?);
    let output = Output::start(options.format, stdout, Arc::clone(&ended))?;
    let mut run = Run {
        live,
        recorder,
        pipeline: Pipeline::new(options.view, output),
        messages,
        unwritten: false,
        failed: false,
    };
    let outcome = run.until_stopped(&options.command, options.timeout, &mut stops, &ended).await;
    // From here on, a second signal ends the process at once, whatever it waits for.
    stops.are_final();
    run.finish(outcome)
}

/// The time after a traced command, until its namespaces have ended, too.
struct Teardown {
    /// The command's status.
    status: u8,
    /// It ends then at the latest.
    until: Instant,
    /// When to look next.
    look: Instant,
}

impl Teardown {
    fn begin(status: u8) -> Self {
        let now = Instant::now();
        Self { status, until: now + TEARDOWN, look: now + TEARDOWN_TICK }
    }
}

/// A run under way.
struct Run {
    live: Live,
    recorder: Option<Recorder>,
    pipeline: Pipeline<Output>,
    messages: Messages,
    /// Whether the failure of the output was reported.
    unwritten: bool,
    /// Whether something could not be written.
    failed: bool,
}

impl Run {
    /// Takes facts until something stops it. Returns the status of the command, if its end was the reason.
    async fn until_stopped(
        &mut self,
        command: &[OsString],
        timeout: Option<Duration>,
        stops: &mut Stops,
        ended: &Notify,
    ) -> Result<Option<u8>> {
        // The facts about existing links come before the command begins.
        self.take_stock()?;
        // A time beyond the range of the clock is no deadline.
        let mut deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut command = Command::start(command)?;
        let mut teardown: Option<Teardown> = None;
        let mut more = true;
        loop {
            tokio::select! {
                // In this order: the signals first. Ctrl-C reaches a traced command, too; it comes before the end of
                // the command, and must not cut its teardown short.
                biased;
                _ = stops.interrupt.recv() => {
                    // A traced command got the signal too, and decides by itself whether it ends.
                    if teardown.is_some() || !command.is_there() {
                        break;
                    }
                }
                _ = stops.terminate.recv() => {
                    if teardown.is_some() || !command.terminate() {
                        break;
                    }
                }
                () = stop::next(&mut stops.hangup) => {
                    // The terminal is gone, so nobody watches any more; or there is no record left to open again.
                    if self.recorder.is_none() || rustix::termios::isatty(rustix::stdio::stdout()) {
                        break;
                    }
                    self.record(Recorder::reopen);
                }
                () = until(deadline) => {
                    self.drain()?;
                    self.pipeline.close();
                    deadline = None;
                }
                status = command.wait(), if teardown.is_none() => {
                    teardown = Some(Teardown::begin(status?));
                    self.live.look();
                }
                () = until(teardown.as_ref().map(|teardown| teardown.look)) => {
                    self.live.look();
                    if let Some(teardown) = &mut teardown {
                        teardown.look = Instant::now() + TEARDOWN_TICK;
                    }
                }
                () = ended.notified() => {}
                ready = self.live.ready(), if !more => ready?,
                // Not a future that is ready at once: the runtime would see neither signals nor timers.
                () = tokio::task::yield_now(), if more => {}
            }
            more = self.take_batch()?;
            let is_done = self.is_done();
            match &teardown {
                Some(teardown) => {
                    let is_over = !more && self.pipeline.in_teardown() == 0;
                    if is_over || Instant::now() >= teardown.until {
                        break;
                    }
                }
                // A running command goes on without output, and its status becomes ours.
                None if is_done && !command.is_there() => return Ok(None),
                None => {}
            }
        }
        stops.are_final();
        self.drain()?;
        Ok(teardown.map(|teardown| teardown.status))
    }

    /// Takes the facts about what was there before, and no more: in a storm, there are always more.
    fn take_stock(&mut self) -> Result<()> {
        while let Some(fact) = self.live.try_next() {
            let is_last = matches!(fact.what, What::Watching(_));
            self.take(fact)?;
            if is_last {
                break;
            }
        }
        self.record(Recorder::flush);
        Ok(())
    }

    /// Takes a batch of facts, small enough that signals can still stop the tracer. Returns whether there may be more.
    fn take_batch(&mut self) -> Result<bool> {
        for _ in 0..BATCH {
            let Some(fact) = self.live.try_next() else {
                self.record(Recorder::flush);
                return Ok(false);
            };
            self.take(fact)?;
        }
        self.record(Recorder::flush);
        Ok(true)
    }

    fn take(&mut self, fact: Fact) -> Result<()> {
        self.record(|recorder| recorder.take(&fact));
        Ok(self.pipeline.take(fact)?)
    }

    /// Works on the record. If that fails, reports it, and the run goes on without a record.
    fn record(&mut self, work: impl FnOnce(&mut Recorder) -> io::Result<()>) {
        let Some(recorder) = &mut self.recorder else { return };
        if let Err(error) = work(recorder) {
            self.messages.say(format_args!(
                "error: cannot write the record to {}: {error}; tracing goes on without it: what it holds so far can \
                 be replayed",
                recorder.name()
            ));
            self.recorder = None;
            self.failed = true;
        }
    }

    /// Takes all facts up to now. In a storm there are always more; this does not wait for them.
    fn drain(&mut self) -> Result<()> {
        let now = clock::now();
        while let Some(fact) = self.live.try_next() {
            let is_later = fact.at > now;
            self.take(fact)?;
            if is_later {
                break;
            }
        }
        Ok(())
    }

    /// Whether all wanted events have been shown, or neither an output nor a record is left.
    fn is_done(&mut self) -> bool {
        self.say_problem();
        self.pipeline.is_closed() || self.pipeline.sink().has_ended() && self.recorder.is_none()
    }

    /// Reports at once if the output cannot be written to. If the reader has closed it, that is not a failure.
    fn say_problem(&mut self) {
        if let Some(problem) = self.pipeline.sink().problem().filter(|_| !self.unwritten) {
            self.messages.say(format_args!("error: cannot write to standard output: {problem}"));
            (self.unwritten, self.failed) = (true, true);
        }
    }

    /// Ends the run, and reports what could not be written. Returns the exit status. A run that an error has stopped
    /// has an end, too.
    fn finish(mut self, outcome: Result<Option<u8>>) -> Result<u8> {
        for fact in self.live.end() {
            self.take(fact)?;
        }
        self.record(Recorder::finish);
        self.say_problem();
        let waiting = self.pipeline.into_sink().finish(LAST_WORDS);
        if waiting > 0 {
            self.messages
                .say(format_args!("note: nobody read the last {waiting} records of standard output"));
        }
        self.messages.finish(LAST_WORDS);
        // When this function returns, detaching takes the kernel a second.
        Ok(match outcome? {
            Some(status @ 1..) => status,
            _ => u8::from(self.failed),
        })
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
