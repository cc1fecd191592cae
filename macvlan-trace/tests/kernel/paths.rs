//! The functions that verdicts look for on kernel paths.

use std::{collections::BTreeSet, fs, process::Command};

use macvlan_trace::kernel::path::{Function, QUESTIONS, name_of};

use crate::harness::binary;

/// Loads what a question may be about, as far as this kernel has it.
fn load_modules() {
    for module in
        QUESTIONS.iter().flat_map(|question| question.functions).filter_map(|function| function.module)
    {
        let _ = Command::new("modprobe").arg(module).output().expect("modprobe runs");
    }
}

#[test]
fn this_kernel_can_answer_every_question_about_its_paths() {
    load_modules();
    let kallsyms = fs::read_to_string("/proc/kallsyms").expect("the kernel shows its symbols");
    let functions: BTreeSet<&str> = kallsyms
        .lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace().skip(1);
            words.next().filter(|kind| "tTwW".contains(kind))?;
            words.next().map(name_of)
        })
        .collect();
    for question in QUESTIONS {
        let symbols = question.functions.iter().flat_map(Function::symbols);
        let found: Vec<_> = symbols.filter(|symbol| functions.contains(symbol.as_str())).collect();
        println!("{}: {}", question.name, found.join(", "));
        assert!(!found.is_empty(), "nothing tells whether a path {}", question.name);
    }
}

#[test]
fn check_shows_what_each_question_goes_by() {
    load_modules();
    let output = Command::new(binary()).arg("check").output().expect("the binary under test starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, paths) = text.split_once("\nkernel paths\n").unwrap_or_else(|| panic!("{text}"));
    let (paths, _) = paths.split_once("\n\n").unwrap_or_else(|| panic!("{text}"));
    assert_eq!(paths.lines().count(), QUESTIONS.len(), "{text}");
    for (line, question) in paths.lines().zip(QUESTIONS) {
        let mut words = line.split_ascii_whitespace();
        assert_eq!((words.next(), words.next()), (Some(question.name), Some("ok")), "{text}");
        assert!(!line.contains("not loaded"), "{text}");
    }
}
