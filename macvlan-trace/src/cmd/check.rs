//! `macvlan-trace check`: says what this kernel has, which function each probe will use, which functions its paths can
//! show, and what to do about what is missing. It attaches nothing, and needs no privileges.

use std::{
    collections::{BTreeSet, HashSet},
    io::{self, Write},
    path::Path,
};

use crate::{
    kernel::path::{Function, QUESTIONS, Question, name_of},
    live::btf::{self, Resolved},
    live::lookup::symbols,
    live::preflight::{self, Finding, State},
    live::probe::catalog::{Attach, HOOKS, Hook},
    output,
};

/// Prints what this machine has; false if something required is missing.
pub fn run(out: &mut impl Write) -> anyhow::Result<bool> {
    let surroundings = preflight::gather();
    let names: Vec<Vec<String>> = HOOKS.iter().map(functions_of).collect();
    let on_paths = QUESTIONS.iter().flat_map(|question| question.functions).flat_map(Function::symbols);
    let wanted: HashSet<String> = names.iter().flatten().cloned().chain(on_paths).collect();
    let present = symbols::functions(|name| wanted.contains(name) || wanted.contains(name_of(name)));
    let is_loaded = |module: &str| Path::new("/sys/module").join(module).exists();
    let report = Report {
        findings: preflight::judge(&surroundings),
        hooks: hooks(&names, present.as_ref()),
        paths: QUESTIONS
            .iter()
            .map(|question| question_line(question, present.as_ref(), is_loaded))
            .collect(),
        fields: fields(btf::of_this_kernel()),
    };
    writeln!(
        out,
        "{} {} on Linux {}",
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_VERSION"),
        surroundings.release
    )?;
    report.print(out).map_err(output::unwritten)?;
    Ok(report.count(State::Missing) == 0)
}

/// Everything that was looked at.
struct Report {
    findings: Vec<Finding>,
    hooks: Vec<Line>,
    paths: Vec<Line>,
    fields: Vec<Line>,
}

/// The state of a hook, a question or a field.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    name: &'static str,
    state: State,
    text: String,
}

impl Report {
    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "\nmachine")?;
        for finding in &self.findings {
            print_line(out, finding.subject, finding.state, &finding.sentence())?;
        }
        writeln!(out, "\nprobes")?;
        for line in &self.hooks {
            print_line(out, line.name, line.state, &line.text)?;
        }
        writeln!(out, "\nkernel paths")?;
        for line in &self.paths {
            print_line(out, line.name, line.state, &line.text)?;
        }
        writeln!(out, "\nkernel fields")?;
        for line in &self.fields {
            print_line(out, line.name, line.state, &line.text)?;
        }
        let (missing, degraded, unknown) =
            (self.count(State::Missing), self.count(State::Degraded), self.count(State::Unknown));
        writeln!(out, "\n{}", conclusion(missing, degraded, unknown))
    }

    fn count(&self, state: State) -> usize {
        let lines = self.hooks.iter().chain(&self.paths).chain(&self.fields).map(|line| line.state);
        self.findings.iter().map(|finding| finding.state).chain(lines).filter(|is| *is == state).count()
    }
}

fn print_line(out: &mut impl Write, name: &str, state: State, text: &str) -> io::Result<()> {
    let state = match state {
        State::Ok => "ok",
        State::Degraded => "degraded",
        State::Missing => "missing",
        State::Unknown => "unknown",
    };
    writeln!(out, "  {name:<19}  {state:<8}  {text}")
}

fn conclusion(missing: usize, degraded: usize, unknown: usize) -> String {
    if missing > 0 {
        return format!("Tracing does not work here: {} missing.", things(missing));
    }
    match (degraded, unknown) {
        (0, 0) => "Tracing works here.".into(),
        (0, _) => {
            format!("Tracing should work here; {} could not be looked at.", things_without_verb(unknown))
        }
        (_, 0) => format!("Tracing works here and shows less: {} degraded.", things(degraded)),
        _ => format!(
            "Tracing should work here and shows less: {} degraded; {} could not be looked at.",
            things(degraded),
            things_without_verb(unknown)
        ),
    }
}

fn things(count: usize) -> String {
    format!("{} {}", things_without_verb(count), if count == 1 { "is" } else { "are" })
}

fn things_without_verb(count: usize) -> String {
    format!("{count} {}", if count == 1 { "thing" } else { "things" })
}

/// The kernel functions that show whether each symbol of a hook exists.
fn functions_of(hook: &Hook) -> Vec<String> {
    let symbols = hook.symbols.iter();
    match hook.attach {
        Attach::Kprobe | Attach::Kretprobe => symbols.map(|symbol| (*symbol).to_owned()).collect(),
        // The function that calls the eBPF programs of a tracepoint.
        Attach::RawTracepoint => symbols.map(|symbol| format!("__bpf_trace_{symbol}")).collect(),
    }
}

/// The state of each hook of the table: `names` are the functions to look for, hook by hook, and `present` are those
/// that this kernel has.
fn hooks(names: &[Vec<String>], present: Result<&HashSet<String>, &io::Error>) -> Vec<Line> {
    HOOKS.iter().zip(names).map(|(hook, names)| hook_line(hook, names, present)).collect()
}

fn hook_line(hook: &Hook, names: &[String], present: Result<&HashSet<String>, &io::Error>) -> Line {
    let name = hook.program;
    let Ok(present) = present else { return without_symbols(name) };
    let symbol = hook.symbols.iter().zip(names).find(|(_, name)| present.contains(*name));
    match (symbol, hook.required) {
        (Some((symbol, _)), _) => {
            let how = match hook.attach {
                Attach::Kprobe => "",
                Attach::Kretprobe => ", at its return",
                Attach::RawTracepoint => ", a tracepoint",
            };
            Line { name, state: State::Ok, text: format!("{symbol}{how}") }
        }
        (None, false) => Line { name, state: State::Degraded, text: hook.degradation(hook.absence()) },
        (None, true) => Line { name, state: State::Missing, text: hook.absence() },
    }
}

/// The state of a question about kernel paths: `present` are the functions that this kernel has.
fn question_line(
    question: &Question,
    present: Result<&HashSet<String>, &io::Error>,
    is_loaded: impl Fn(&str) -> bool,
) -> Line {
    let name = question.name;
    let Ok(present) = present else { return without_symbols(name) };
    let present: HashSet<&str> = present.iter().map(|symbol| name_of(symbol)).collect();
    let symbols = question.functions.iter().flat_map(Function::symbols);
    let found: Vec<String> = symbols.filter(|symbol| present.contains(symbol.as_str())).collect();
    if !found.is_empty() {
        return Line { name, state: State::Ok, text: found.join(", ") };
    }
    // A function of a module cannot be on a path while the module is not loaded.
    let absent = |function: &Function| function.module.filter(|module| !is_loaded(module));
    if let Some(modules) = question.functions.iter().map(absent).collect::<Option<BTreeSet<_>>>() {
        let modules: Vec<&str> = modules.into_iter().collect();
        return Line { name, state: State::Ok, text: format!("not loaded: {}", modules.join(", ")) };
    }
    let names: Vec<&str> = question.functions.iter().map(|function| function.name).collect();
    let absent = match names[..] {
        [name] => format!("no {name}"),
        _ => format!("neither {}", names.join(" nor ")),
    };
    let text = format!("this kernel has {absent}, so macvlan-trace does not see {}", question.unseen);
    Line { name, state: State::Degraded, text }
}

/// The line of a hook or question if the kernel's functions cannot be read.
fn without_symbols(name: &'static str) -> Line {
    let text = "/proc/kallsyms cannot be read: use a kernel built with CONFIG_KALLSYMS, and mount /proc";
    Line { name, state: State::Unknown, text: text.into() }
}

/// The state of the kernel's fields: one line if all are known, else one for each unknown field.
fn fields(resolved: anyhow::Result<Resolved>) -> Vec<Line> {
    let resolved = match resolved {
        Ok(resolved) => resolved,
        // The reason is among the findings, or in the error.
        Err(error) => return vec![Line { name: "types", state: State::Unknown, text: format!("{error:#}") }],
    };
    let missing = resolved.missing.iter().map(|name| Line {
        name,
        state: State::Missing,
        text: "this version does not know where this kernel keeps it: please report the kernel".into(),
    });
    let unknown = resolved.unknown.iter().map(|name| Line {
        name,
        state: State::Degraded,
        text: "this kernel's types lack it, so what it says is unknown".into(),
    });
    let lines: Vec<Line> = missing.chain(unknown).collect();
    if lines.is_empty() {
        return vec![Line {
            name: "types",
            state: State::Ok,
            text: "this kernel's types have all fields".into(),
        }];
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(program: &str) -> &'static Hook {
        HOOKS.iter().find(|hook| hook.program == program).unwrap()
    }

    fn line(program: &str, present: &[&str]) -> (State, String) {
        let hook = hook(program);
        let line = hook_line(hook, &functions_of(hook), Ok(&set(present)));
        (line.state, line.text)
    }

    fn set(names: &[&str]) -> HashSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// How a question stands where these functions are there and these modules loaded.
    fn answer(name: &str, present: &[&str], loaded: &[&str]) -> (State, String) {
        let question = QUESTIONS.iter().find(|question| question.name == name).unwrap();
        let line = question_line(question, Ok(&set(present)), |module| loaded.contains(&module));
        (line.state, line.text)
    }

    #[test]
    fn a_question_can_be_answered_with_one_of_its_functions() {
        let symbols = ["__x64_sys_delete_module", "__do_sys_delete_module.isra.0", "do_exit"];
        let text = "__do_sys_delete_module, __x64_sys_delete_module";
        assert_eq!(answer("unloads_module", &symbols, &[]), (State::Ok, text.into()));
        assert_eq!(answer("unloads_module", &symbols[1..], &[]).1, "__do_sys_delete_module");
    }

    #[test]
    fn a_question_that_this_kernel_cannot_answer_says_what_is_not_seen() {
        assert_eq!(
            answer("tears_down_netns", &["cleanup_network"], &[]),
            (
                State::Degraded,
                "this kernel has no cleanup_net, so macvlan-trace does not see that a link goes with its network \
                 namespace, where it did not see that end"
                    .into()
            )
        );
    }

    #[test]
    fn a_module_that_is_not_loaded_is_not_missed_and_one_without_its_functions_is() {
        assert_eq!(answer("closes_veth", &[], &[]), (State::Ok, "not loaded: veth".into()));
        assert_eq!(answer("closes_veth", &[], &["veth"]).0, State::Degraded);
        // Others of its functions are not a module's.
        assert_eq!(answer("releases_device", &[], &[]).0, State::Degraded);
    }

    #[test]
    fn the_first_symbol_that_is_there_is_used() {
        let both = ["dev_change_flags", "netif_change_flags"];
        assert_eq!(line("change_flags", &both), (State::Ok, "netif_change_flags".into()));
        assert_eq!(line("change_flags", &both[..1]), (State::Ok, "dev_change_flags".into()));
    }

    #[test]
    fn a_tracepoint_is_there_with_the_function_that_calls_programs() {
        let there = (State::Ok, "signal_generate, a tracepoint".into());
        assert_eq!(line("signal_generate", &["__bpf_trace_signal_generate"]), there);
        assert_eq!(line("signal_generate", &["signal_generate"]).0, State::Degraded);
    }

    #[test]
    fn a_required_hook_that_is_missing_says_what_to_do() {
        let (state, text) = line("unregister", &[]);
        assert_eq!(state, State::Missing);
        assert_eq!(
            text,
            "this kernel has no unregister_netdevice_queue, and without that macvlan-trace cannot see who deletes a \
             link: use a distribution's kernel, or report this one"
        );
    }

    #[test]
    fn an_optional_hook_that_is_missing_says_what_is_lost() {
        let (state, text) = line("put_net", &[]);
        assert_eq!(state, State::Degraded);
        assert_eq!(
            text,
            "this kernel has no __put_net, so macvlan-trace does not see which process drops the last reference to a \
             network namespace"
        );
    }

    #[test]
    fn without_symbols_nothing_is_claimed() {
        let hook = hook("unregister");
        let line = hook_line(hook, &functions_of(hook), Err(&io::Error::other("")));
        assert_eq!(line.state, State::Unknown);
        let line = question_line(&QUESTIONS[0], Err(&io::Error::other("")), |_| true);
        assert_eq!(line.state, State::Unknown);
    }

    #[test]
    fn the_conclusion_counts() {
        assert_eq!(conclusion(0, 0, 0), "Tracing works here.");
        assert_eq!(conclusion(1, 2, 0), "Tracing does not work here: 1 thing is missing.");
        assert_eq!(conclusion(0, 2, 0), "Tracing works here and shows less: 2 things are degraded.");
        assert_eq!(conclusion(0, 0, 1), "Tracing should work here; 1 thing could not be looked at.");
    }

    #[test]
    fn this_machine_is_reported_in_aligned_lines() {
        let mut out = Vec::new();
        run(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for line in text.lines().filter(|line| line.starts_with("  ")) {
            let state = line.get(23..31).unwrap_or_default().trim_end();
            assert!(["ok", "degraded", "missing", "unknown"].contains(&state), "{line}");
        }
        for hook in HOOKS {
            assert!(text.contains(hook.program), "{text}");
        }
        for question in QUESTIONS {
            assert!(text.contains(question.name), "{text}");
        }
    }
}
