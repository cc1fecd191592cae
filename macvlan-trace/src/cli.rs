//! The command line: what may be said, and what is wrong with what cannot work.
//!
//! Whatever needs no look at the machine is judged here.

mod time;

use std::ffi::{OsStr, OsString};
use std::num::{NonZeroU64, NonZeroUsize};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::builder::{OsStringValueParser, PossibleValuesParser, StyledStr, TypedValueParser as _};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand, ValueEnum};
use glob::Pattern;
use jiff::Timestamp;

use crate::cmd::explain;
use crate::event::EventKind;
use crate::filter::{CgroupGlob, EventChoice, Filter, IfaceGlob, KindChoice, NetnsChoice};
use crate::kernel::kinds;
use crate::live::probe::catalog::HOOKS;
use crate::pipeline::{Per, View};
use crate::text::Text;

/// `IFNAMSIZ` without its NUL.
const NAME_MAX: usize = 15;
/// `TASK_COMM_LEN` without its NUL.
const COMM_MAX: usize = 15;
/// `PID_MAX_LIMIT`: no kernel gives out a larger process id.
const PID_MAX: u32 = 1 << 22;

const CHECK: &str = "check";
const EXPLAIN: &str = "explain";
const REPLAY: &str = "replay";
const INFO: &str = "info";

/// The choice of events that break a link.
const BREAKING: &str = "breaking";

const EXAMPLES: &str = "\
Examples:
  sudo macvlan-trace                          Watch every namespace until Ctrl-C
  sudo macvlan-trace -i 'macvlan*' -e all     Follow the whole life of some links
  sudo macvlan-trace -C web                   One container, by its name, pod or id
  sudo macvlan-trace --netns blue -v          One namespace of `ip netns`, with the kernel path of each event
  sudo macvlan-trace -c 1 -o json             Wait for the next break; one JSON object a line
  sudo macvlan-trace -- docker stop web       Watch while a command runs; leave with its status
  sudo macvlan-trace -w r.rec                 Record everything beside the table
  macvlan-trace replay r.rec -i 'macvlan*'    Tell it again, on any machine
  sudo macvlan-trace check                    What this kernel offers, and what is missing
  macvlan-trace explain container-exited      What a verdict means, and what to do about it

Values of one filter are alternatives; different filters must all match.
Exit status: 0 fine, 1 failed, 2 usage; with `-- CMD`, the status of CMD.";

/// Names the process that broke a macvlan link, and says why.
///
/// Watches all network namespaces of the machine at once and prints a row for each macvlan or macvtap link that goes
/// down or is deleted. Needs root.
#[derive(Debug, Parser)]
#[command(
    name = "macvlan-trace",
    version,
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    max_term_width = 100,
    override_usage = "macvlan-trace [OPTIONS] [-- CMD [ARGS]...]\n       macvlan-trace replay FILE...\n       \
                      macvlan-trace info FILE...\n       macvlan-trace check\n       \
                      macvlan-trace explain [RULE]"
)]
pub struct Cli {
    /// Something else than tracing.
    #[command(subcommand)]
    pub verb: Option<Verb>,

    /// What to show, and how.
    #[command(flatten)]
    pub view: ViewArgs,

    /// Stop after this many seconds, or this time with a unit: 30, 1.5s, 5m, 1h.
    #[arg(short, long, value_name = "SECONDS", value_parser = duration, help_heading = "When to stop")]
    pub timeout: Option<Duration>,

    /// Leave out a hook, by its name in `check`: for kernels where one misbehaves, and for our own tests.
    #[arg(long, value_name = "HOOK", value_parser = hook, hide = true)]
    pub without: Vec<String>,

    /// Remark on a deleted link that nobody has made again within this time; 0 for never. Not with a command.
    #[arg(
        long,
        value_name = "SECONDS",
        value_parser = duration_or_never,
        default_value = "30",
        help_heading = "Output"
    )]
    pub missed_after: Missed,

    /// The host's root, below which container runtimes keep the names of containers. For a tracer in a container, which
    /// sees the host's root elsewhere.
    #[arg(long, value_name = "DIR", default_value = "/", value_parser = folder, help_heading = "Names")]
    #[arg(value_hint = clap::ValueHint::DirPath)]
    pub state_root: PathBuf,

    /// Record the whole stream of facts, whatever is shown, for `macvlan-trace replay FILE`. A record that is there already
    /// is overwritten, unless --rotate is given.
    #[arg(short, long = "write", value_name = "FILE", help_heading = "Record", value_hint = clap::ValueHint::FilePath)]
    pub write: Option<PathBuf>,

    /// Go on in another file before one is larger than this, such as 8MiB: FILE.000001, FILE.000002, and so on.
    #[arg(long, value_name = "SIZE", value_parser = size, requires = "write", help_heading = "Record")]
    pub rotate: Option<u64>,

    /// Keep no more than so many of these files; the oldest go first.
    #[arg(long, value_name = "N", value_parser = files, requires = "rotate", help_heading = "Record")]
    pub files: Option<NonZeroUsize>,

    /// Run this once everything is attached, and trace until it has ended.
    #[arg(last = true, value_name = "CMD", help_heading = "Command")]
    pub command: Vec<OsString>,
}

/// What to show, live or of a record, and how.
#[derive(Clone, Debug, Default, Args)]
pub struct ViewArgs {
    /// Which events.
    #[command(flatten)]
    pub filter: FilterArgs,

    /// Stop after N events have been shown; with `--per incident`, after N incidents.
    #[arg(short, long, value_name = "N", value_parser = count, help_heading = "When to stop")]
    pub count: Option<NonZeroU64>,

    /// How to print: a table for people, or one JSON object a line.
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t, help_heading = "Output")]
    pub output: Output,

    /// Show each event, and the incident once it has settled; or only incidents.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t, help_heading = "Output")]
    pub per: Per,

    /// Show the kernel path under each row; twice, also the log of the eBPF programs.
    #[arg(short, long, action = clap::ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,
}

impl ViewArgs {
    /// What the pipeline has to show, with the namespaces looked up.
    #[must_use]
    pub fn view(&self, netns: Vec<NetnsChoice>) -> View {
        View {
            filter: self.filter.filter(netns),
            per: self.per,
            limit: self.count.map(NonZeroU64::get),
            ..View::default()
        }
    }
}

/// Something else than tracing.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Replay records, with any filter, any output and the rules of this version; on any machine, without root.
    #[command(name = REPLAY)]
    Replay(Box<ReplayArgs>),

    /// Say what records hold: host, kernel, time, events, losses, damage.
    #[command(name = INFO)]
    Info {
        /// Records, in any order, gzipped or not; `-` for standard input.
        #[arg(value_name = "FILE", required = true, value_hint = clap::ValueHint::FilePath)]
        files: Vec<PathBuf>,
    },

    /// Say what this kernel offers, which function each probe will use, and what is missing.
    #[command(name = CHECK)]
    Check,

    /// Say what a verdict means, how it is recognised and what to do; without a rule, list them all.
    #[command(name = EXPLAIN)]
    Explain {
        /// The rule, as the table names it.
        #[arg(value_name = "RULE", value_parser = PossibleValuesParser::new(explain::names()), hide_possible_values = true)]
        rule: Option<String>,
    },
}

/// What to tell again.
#[derive(Clone, Debug, Args)]
pub struct ReplayArgs {
    /// Records, in any order, gzipped or not; `-` for standard input.
    #[arg(value_name = "FILE", required = true, value_hint = clap::ValueHint::FilePath)]
    pub files: Vec<PathBuf>,

    /// What to show, and how.
    #[command(flatten)]
    pub view: ViewArgs,

    /// Which time.
    #[command(flatten)]
    pub span: SpanArgs,

    /// Write the facts that the shown events rest on: a small record that tells them again.
    #[arg(short, long = "write", value_name = "FILE", help_heading = "Record", value_hint = clap::ValueHint::FilePath)]
    pub write: Option<PathBuf>,
}

/// Which time to show of a record.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Time (RFC 3339, `2026-11-27 14:05`, `14:05` or `10 min ago`)")]
pub struct SpanArgs {
    /// Nothing before this.
    #[arg(long, value_name = "TIME", value_parser = time::moment)]
    pub since: Option<Timestamp>,

    /// Nothing after this.
    #[arg(long, value_name = "TIME", value_parser = time::moment)]
    pub until: Option<Timestamp>,

    /// Only what was about this time.
    #[arg(long, value_name = "TIME", value_parser = time::moment, conflicts_with_all = ["since", "until"])]
    pub at: Option<Timestamp>,

    /// How long before and after that.
    #[arg(long, value_name = "SPAN", value_parser = duration, default_value = "1m", requires = "at")]
    pub around: Duration,
}

impl SpanArgs {
    /// The first moment and the last, in nanoseconds since the epoch; `None` where there is no limit.
    #[must_use]
    pub fn bounds(&self) -> (Option<i128>, Option<i128>) {
        let nanoseconds = |time: Timestamp| time.as_nanosecond();
        match self.at {
            Some(at) => {
                let around = i128::try_from(self.around.as_nanos()).unwrap_or(i128::MAX);
                let at = nanoseconds(at);
                (Some(at.saturating_sub(around)), Some(at.saturating_add(around)))
            }
            None => (self.since.map(nanoseconds), self.until.map(nanoseconds)),
        }
    }
}

/// Which events to show. Filters act on finished events, so what they hide still explains what they show.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Filters (each may be repeated)")]
pub struct FilterArgs {
    /// Links by name, present or former, or as `macvlan0@eth0`; quote `*` and `?`.
    #[arg(short, long = "iface", value_name = "GLOB", value_parser = iface)]
    pub ifaces: Vec<IfaceGlob>,

    /// Process id of the actor or of the culprit.
    #[arg(short, long = "pid", value_name = "PID", value_parser = pid)]
    pub pids: Vec<u32>,

    /// Name of the actor or of the culprit, as the kernel cuts it: 15 bytes at most.
    #[arg(long = "comm", value_name = "NAME", value_parser = OsStringValueParser::new().try_map(|name| comm(&name)))]
    pub comms: Vec<Text>,

    /// Control group of the actor or of the culprit: a path with all below it, or one name of the path, such as
    /// docker.service or 'user-*.slice'.
    #[arg(long = "cgroup", value_name = "GLOB", value_parser = cgroup)]
    pub cgroups: Vec<CgroupGlob>,

    /// Container that lost the link, shares its network namespace, or gets the link: its name or its pod's, the beginning
    /// of its id, or a glob of one of them.
    #[arg(short = 'C', long = "container", value_name = "NAME", value_parser = container)]
    pub containers: Vec<Pattern>,

    /// Network namespace of the link: its name as in `ip netns`, its inode number, or a path such as
    /// /proc/PID/ns/net.
    #[arg(long = "netns", value_name = "NETNS")]
    pub netns: Vec<OsString>,

    /// Kind of the link: macvlan, macvtap, ipvlan, ipvtap, or all; separated by commas.
    #[arg(short, long = "kind", value_name = "KIND", value_delimiter = ',', value_parser = kind)]
    #[arg(default_value = "macvlan,macvtap")]
    pub kinds: Vec<KindChoice>,

    /// What happened: created, create_failed, up, up_failed, down, parent_down, parent_up, carrier_lost, carrier_back,
    /// renamed, rename_failed, moved, move_failed, mac_changed, mac_failed, address_removed, deleted; breaking for what
    /// breaks a link, and requests for one that fail; or all; separated by commas.
    #[arg(short, long = "event", value_name = "EVENT", value_delimiter = ',', value_parser = event)]
    #[arg(default_value = BREAKING)]
    pub events: Vec<EventChoice>,
}

impl FilterArgs {
    /// The filter that this asks for, with its namespaces looked up.
    #[must_use]
    pub fn filter(&self, netns: Vec<NetnsChoice>) -> Filter {
        Filter {
            events: self.events.clone(),
            ifaces: self.ifaces.clone(),
            kinds: self.kinds.clone(),
            netns,
            pids: self.pids.clone(),
            comms: self.comms.clone(),
            cgroups: self.cgroups.clone(),
            containers: self.containers.clone(),
        }
    }
}

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// One object a line.
    Json,
}

impl Cli {
    /// The command line of this process. Prints help or what is wrong, and exits, where there is nothing to do.
    #[must_use]
    pub fn of_process() -> Self {
        Self::from_args(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    /// A command line, the program's name first.
    pub fn from_args(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::try_parse_from(args).map_err(with_hint)
    }
}

/// Who types `macvlan-trace ip link …` means `macvlan-trace -- ip link …`.
fn with_hint(mut error: clap::Error) -> clap::Error {
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    let hint = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(word)) if word == REPLAY => {
            format!("flags of `{word}` stand after it: macvlan-trace {word} FILE -e all")
        }
        Some(ContextValue::String(word)) if [CHECK, EXPLAIN, INFO].contains(&word.as_str()) => {
            format!("`{word}` goes without flags of tracing: macvlan-trace {word}")
        }
        Some(ContextValue::String(word)) if !word.starts_with('-') => {
            format!("to trace while a command runs, put `--` before it: macvlan-trace -- {word}")
        }
        _ => return error,
    };
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(hint)]));
    error
}

/// A glob that some interface name can match.
fn iface(text: &str) -> Result<IfaceGlob, String> {
    let pattern = name_glob(text)?;
    if text.is_empty() {
        return Err("an interface name is never empty; `*` stands for any".into());
    }
    if text.contains('/') {
        return Err("no interface name contains `/`; give the name alone, such as macvlan0".into());
    }
    let with_parent = text.contains('@');
    let limit = if with_parent { 2 * NAME_MAX + 1 } else { NAME_MAX };
    let least = least_match(text);
    if least > limit {
        return Err(format!(
            "it matches only names of {least} bytes or more, and an interface name has at most {NAME_MAX}; shorten \
             it, or end it with `*`"
        ));
    }
    Ok(IfaceGlob { pattern, with_parent })
}

/// How many bytes the shortest match of a valid glob has.
fn least_match(glob: &str) -> usize {
    let mut least = 0;
    let mut chars = glob.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' => {}
            '?' => least += 1,
            '[' => {
                // A `]` that stands first, negated or not, is a member of the set.
                let set = chars.as_str();
                let set = set.strip_prefix('!').unwrap_or(set);
                let first = set.chars().next().map_or(0, char::len_utf8);
                let end = set[first..].find(']').map_or(set.len(), |at| first + at + 1);
                chars = set[end..].chars();
                least += 1;
            }
            c => least += c.len_utf8(),
        }
    }
    least
}

/// A folder that there is.
fn folder(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_dir() { Ok(path) } else { Err("there is no such folder".into()) }
}

/// A hook that there is.
fn hook(name: &str) -> Result<String, String> {
    if HOOKS.iter().any(|hook| hook.program == name) {
        return Ok(name.to_owned());
    }
    Err("there is no such hook; `macvlan-trace check` lists them".into())
}

/// A process id that a process can have.
fn pid(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(0) => Err("0 is the idle task of the kernel, which changes no link".into()),
        Ok(pid @ 1..=PID_MAX) => Ok(pid),
        Ok(_) => Err(format!("no process id is larger than {PID_MAX}")),
        Err(_) => Err("a process id is a number, such as 812; for a name there is --comm".into()),
    }
}

/// A name that a task can have.
fn comm(name: &OsStr) -> Result<Text, String> {
    let bytes = name.as_bytes();
    if bytes.is_empty() {
        return Err("the name is empty".into());
    }
    if bytes.len() > COMM_MAX {
        let cut = Text::from(bytes[..COMM_MAX].to_vec());
        return Err(format!("the kernel keeps {COMM_MAX} bytes of a process's name: use --comm '{cut}'"));
    }
    Ok(Text::from(bytes.to_vec()))
}

/// A glob that some control group can match.
fn cgroup(text: &str) -> Result<CgroupGlob, String> {
    let whole_path = text.contains('/');
    // A slash at the end means the same.
    let text = if text.len() > 1 { text.strip_suffix('/').unwrap_or(text) } else { text };
    if text.is_empty() {
        return Err("it is empty; give a path such as /system.slice, or a name such as docker.service".into());
    }
    if whole_path && !text.starts_with(['/', '*']) {
        return Err(format!("a path begins with `/`: use --cgroup '/{text}'"));
    }
    Ok(CgroupGlob { pattern: name_glob(text)?, whole_path })
}

/// A glob that some container can match.
fn container(text: &str) -> Result<Pattern, String> {
    if text.is_empty() {
        return Err("it is empty; `*` stands for any container".into());
    }
    name_glob(text)
}

fn name_glob(text: &str) -> Result<Pattern, String> {
    Pattern::new(text).map_err(|error| format!("it is no glob: {}", error.msg))
}

fn kind(text: &str) -> Result<KindChoice, String> {
    if text == "all" {
        return Ok(KindChoice::All);
    }
    kinds::of(text.as_bytes()).map(KindChoice::One).ok_or_else(|| {
        let words: Vec<&str> = kinds::all().iter().map(|kind| kind.word).collect();
        format!("links of these kinds are traced: {}, or all", words.join(", "))
    })
}

fn event(text: &str) -> Result<EventChoice, String> {
    match text {
        "all" => return Ok(EventChoice::All),
        BREAKING => return Ok(EventChoice::Breaking),
        _ => {}
    }
    EventKind::from_str(text, false).map(EventChoice::One).map_err(|_| {
        let kinds: Vec<&str> = EventKind::value_variants().iter().map(|kind| kind.as_str()).collect();
        format!("events are {}, {BREAKING}, or all", kinds.join(", "))
    })
}

fn count(text: &str) -> Result<NonZeroU64, String> {
    text.parse().map_err(|_| "it must be a whole number, 1 or more".into())
}

fn files(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "it must be a whole number, 1 or more".into())
}

/// The least size of a segment: a header and what it repeats have to fit well.
const LEAST_SIZE: u64 = 64 << 10;

/// `8MiB`, `100MB`, `1G`.
fn size(text: &str) -> Result<u64, String> {
    match text.parse::<ByteSize>() {
        Ok(ByteSize(size)) if size >= LEAST_SIZE => Ok(size),
        Ok(_) => Err("a file must have room for 64KiB or more".into()),
        Err(_) => Err("it must be a size in bytes, or with a unit, such as 8MiB or 1G".into()),
    }
}

/// `30`, `1.5s`, `500ms`, `5m`, `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3600.0,
        _ => f64::NAN,
    };
    let seconds = number.parse::<f64>().unwrap_or(f64::NAN) * unit;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => {
            Err("it must be a time above zero: seconds, or a number with ms, s, m or h, such as 30 or 5m"
                .into())
        }
    }
}

/// After how long a deleted link is missed; `None` for never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed(pub Option<Duration>);

fn duration_or_never(text: &str) -> Result<Missed, String> {
    if text == "0" { Ok(Missed(None)) } else { duration(text).map(|limit| Missed(Some(limit))) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use clap::CommandFactory as _;

    use super::*;

    fn parse(args: &[&str]) -> Result<Cli, clap::Error> {
        Cli::from_args(["macvlan-trace"].iter().chain(args).map(Into::into))
    }

    /// What a wrong command line says.
    fn complaint(args: &[&str]) -> String {
        let error = parse(args).expect_err("a usage error");
        assert_eq!(error.exit_code(), 2, "{args:?}");
        error.to_string()
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn nothing_said_shows_what_breaks_a_link_in_a_table() {
        let cli = parse(&[]).unwrap();
        assert_eq!(cli.view.filter.events, [EventChoice::Breaking]);
        assert_eq!((cli.view.output, cli.view.per, cli.view.verbose), (Output::Table, Per::Event, 0));
        assert!(cli.verb.is_none());
        assert!(cli.command.is_empty() && cli.view.count.is_none() && cli.timeout.is_none());
    }

    #[test]
    fn every_flag_has_its_letter_and_its_word() {
        let words = |line: &'static str| parse(&line.split(' ').collect::<Vec<_>>()).unwrap();
        let cli = words(
            "-i macvlan* -i eth0 -p 812 --comm ip --netns web -k macvtap -e up,down -e all,breaking -c 3 -t 5m -o json \
             --per incident -vv",
        );
        let filter = &cli.view.filter;
        assert_eq!(
            filter.ifaces.iter().map(|glob| glob.pattern.as_str()).collect::<Vec<_>>(),
            ["macvlan*", "eth0"]
        );
        assert_eq!(filter.pids, [812]);
        assert_eq!(filter.comms, ["ip".into()]);
        assert_eq!(filter.netns, ["web"]);
        assert_eq!(filter.kinds, [KindChoice::One(kinds::of(b"macvtap").unwrap())]);
        assert_eq!(
            filter.events,
            [
                EventChoice::One(EventKind::Up),
                EventChoice::One(EventKind::Down),
                EventChoice::All,
                EventChoice::Breaking
            ]
        );
        assert_eq!(cli.view.count.map(NonZeroU64::get), Some(3));
        assert_eq!(cli.timeout, Some(Duration::from_secs(300)));
        assert_eq!((cli.view.output, cli.view.per, cli.view.verbose), (Output::Json, Per::Incident, 2));
        words(
            "--iface a --pid 1 --kind macvlan --event moved --count 1 --timeout 1 --output table --verbose",
        );
    }

    #[test]
    fn the_command_keeps_its_bytes_and_its_flags() {
        let odd = OsString::from_vec(b"\xff".to_vec());
        let args = ["macvlan-trace", "-v", "--", "ip", "-c", "--", "link"].map(OsString::from);
        let cli = Cli::from_args(args.into_iter().chain([odd.clone()])).unwrap();
        assert_eq!(cli.command, ["ip".into(), "-c".into(), "--".into(), "link".into(), odd]);
    }

    #[test]
    fn check_is_a_subcommand() {
        assert!(matches!(parse(&["check"]).unwrap().verb, Some(Verb::Check)));
        let said = complaint(&["-c", "1", "check"]);
        assert!(said.contains("`check` goes without flags of tracing"), "{said}");
    }

    #[test]
    fn explain_takes_a_rule_or_none_and_names_those_that_are_nearly_it() {
        assert!(matches!(parse(&["explain"]).unwrap().verb, Some(Verb::Explain { rule: None })));
        let verb = parse(&["explain", "direct"]).unwrap().verb;
        assert!(matches!(verb, Some(Verb::Explain { rule: Some(rule) }) if rule == "direct"));
        let said = complaint(&["explain", "container-exit"]);
        assert!(said.contains("a similar value exists: 'container-exited'"), "{said}");
        let said = complaint(&["-v", "explain", "direct"]);
        assert!(said.contains("`explain` goes without flags of tracing"), "{said}");
    }

    #[test]
    fn a_command_without_dashes_gets_a_hint() {
        for args in [&["docker", "stop", "web"][..], &["-v", "docker", "stop"], &["-c", "1", "docker"]] {
            let said = complaint(args);
            assert!(said.contains("'docker'"), "{said}");
            assert!(said.contains("put `--` before it: macvlan-trace -- docker"), "{said}");
        }
        let said = complaint(&["chek"]);
        assert!(said.contains("\n       macvlan-trace check\n"), "{said}");
    }

    #[test]
    fn an_unknown_flag_is_named() {
        let said = complaint(&["--ifase", "x"]);
        assert!(said.contains("'--ifase'") && said.contains("--iface"), "{said}");
    }

    #[test]
    fn what_can_never_match_is_refused_with_the_reason() {
        for (args, reason) in [
            (["-i", "a/b"], "no interface name contains `/`"),
            (
                ["-i", "macvlan-of-the-web"],
                "only names of 18 bytes or more, and an interface name has at most 15",
            ),
            (["-i", "macvlan-of-the-[wx]?*"], "17 bytes"),
            (["-i", ""], "never empty"),
            (["-i", "[a"], "it is no glob"),
            (["-p", "0"], "idle task"),
            (["-p", "4194305"], "no process id is larger than 4194304"),
            (["-p", "ip"], "for a name there is --comm"),
            (["--comm", "systemd-networkd"], "use --comm 'systemd-network'"),
            (["--comm", ""], "empty"),
            (["--cgroup", ""], "such as docker.service"),
            (["--cgroup", "system.slice/x"], "use --cgroup '/system.slice/x'"),
            (["--cgroup", "a[b"], "it is no glob"),
            (["--container", ""], "stands for any container"),
            (["--container", "a***b"], "it is no glob"),
            (["--state-root", "/nowhere"], "there is no such folder"),
            (["-k", "veth"], "links of these kinds are traced: macvlan, macvtap, ipvlan, ipvtap, or all"),
            (["-e", "down,gone"], "events are created, create_failed, up, up_failed, down, parent_down"),
            (["-c", "0"], "1 or more"),
            (["-t", "0"], "above zero"),
            (["-t", "0.0000000001"], "above zero"),
            (["-t", "5d"], "a number with ms, s, m or h"),
            (["-t", "1e3"], "a number with ms, s, m or h"),
            (["-t", ""], "above zero"),
            (["-o", "xml"], "table, json"),
        ] {
            let said = complaint(&args);
            assert!(
                said.contains(reason) && said.contains(args[0].trim_start_matches('-')),
                "{args:?}: {said}"
            );
        }
    }

    #[test]
    fn globs_that_can_match_are_taken() {
        for glob in ["*", "macvlan-of-web0", "macvlan-of-the*", "[]a]*", "[!]]x", "mac???[0-9]*"] {
            assert!(iface(glob).is_ok(), "{glob}");
        }
        let pair = iface("macvlan-of-web0@enp94s0f0np0x").unwrap();
        assert!(pair.with_parent);
    }

    #[test]
    fn a_control_group_is_a_path_or_a_name() {
        let parts =
            |text| cgroup(text).map(|glob| (glob.pattern.as_str().to_owned(), glob.whole_path)).unwrap();
        assert_eq!(parts("/system.slice/"), ("/system.slice".to_owned(), true));
        assert_eq!(parts("/"), ("/".to_owned(), true));
        assert_eq!(parts("*/web.service"), ("*/web.service".to_owned(), true));
        assert_eq!(parts("user-*.slice"), ("user-*.slice".to_owned(), false));
    }

    #[test]
    fn the_machines_root_is_where_it_is_unless_told_otherwise() {
        let parse = |args: &[&str]| {
            Cli::from_args(["macvlan-trace"].iter().chain(args).map(OsString::from)).unwrap().state_root
        };
        assert_eq!(parse(&[]), PathBuf::from("/"));
        assert_eq!(parse(&["--state-root", "/tmp"]), PathBuf::from("/tmp"));
    }

    #[test]
    fn times_have_units() {
        for (text, millis) in
            [("30", 30_000), ("1.5", 1_500), ("30s", 30_000), ("500ms", 500), ("1h", 3_600_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn help_is_for_operators() {
        let help = Cli::command().render_long_help().to_string();
        for part in ["Filters", "When to stop", "Output", "Examples:", "-- docker stop web", "check"] {
            assert!(help.contains(part), "{part} in {help}");
        }
    }

    #[test]
    fn a_record_has_a_file_a_size_and_a_number_of_files() {
        let cli = parse(&["-w", "r.rec", "--rotate", "8MiB", "--files", "3"]).unwrap();
        assert_eq!(cli.write, Some(PathBuf::from("r.rec")));
        assert_eq!((cli.rotate, cli.files.map(NonZeroUsize::get)), (Some(8 << 20), Some(3)));
        assert!(complaint(&["--rotate", "8MiB"]).contains("--write"), "it needs a file");
        assert!(complaint(&["-w", "r", "--files", "3"]).contains("--rotate"), "it needs a size");
        assert!(complaint(&["-w", "r", "--rotate", "1K"]).contains("room for 64KiB or more"));
        assert!(complaint(&["-w", "r", "--rotate", "much"]).contains("such as 8MiB or 1G"));
        assert!(complaint(&["-w", "r", "--rotate", "1M", "--files", "0"]).contains("1 or more"));
    }

    #[test]
    fn a_replay_takes_what_shows_a_live_run_and_a_time() {
        let cli = parse(&[
            "replay", "a", "b.gz", "-e", "all", "-i", "mv*", "-c", "2", "-o", "json", "--since", "14:05",
        ]);
        let Some(Verb::Replay(args)) = cli.unwrap().verb else { panic!("a replay") };
        assert_eq!(args.files, [PathBuf::from("a"), PathBuf::from("b.gz")]);
        assert_eq!((args.view.output, args.view.count.map(NonZeroU64::get)), (Output::Json, Some(2)));
        assert!(args.span.since.is_some() && args.span.bounds().1.is_none());
        assert!(complaint(&["replay"]).contains("<FILE>"));
        assert!(complaint(&["replay", "a", "--since", "soon"]).contains("give 14:05"));
        assert!(
            complaint(&["replay", "a", "--at", "14:05", "--until", "14:06"]).contains("cannot be used with")
        );
    }

    #[test]
    fn about_a_time_is_before_and_after_it() {
        let args = parse(&["replay", "a", "--at", "2026-11-27T14:05:00Z", "--around", "30s"]).unwrap();
        let Some(Verb::Replay(args)) = args.verb else { panic!("a replay") };
        let (since, until) = args.span.bounds();
        assert_eq!(until.unwrap() - since.unwrap(), 60_000_000_000);
    }
}
