use std::{collections::BTreeSet, fs, path::Path as File};

use super::*;
use crate::live::probe::catalog::HOOKS;

fn path(symbols: &[&str]) -> Path {
    symbols.iter().map(|symbol| (!symbol.is_empty()).then_some(*symbol)).collect()
}

#[test]
fn a_function_is_known_by_its_whole_name_and_by_what_the_compiler_made_of_it() {
    for symbol in ["cleanup_net", "cleanup_net.part.0", "cleanup_net.isra.0.cold", "cleanup_net.llvm.77"] {
        assert!(path(&["", symbol]).tears_down_netns(), "{symbol}");
    }
    for symbol in ["cleanup_net_ops", "__cleanup_net", "cleanup", "", ".cleanup_net"] {
        assert!(!path(&[symbol]).tears_down_netns(), "{symbol}");
    }
}

#[test]
fn a_system_call_is_known_on_every_architecture() {
    for symbol in ["__x64_sys_setns", "__arm64_sys_setns", "__do_sys_setns", "__se_sys_setns.isra.0"] {
        assert!(path(&[symbol]).switches_namespaces(), "{symbol}");
    }
    for symbol in ["setns", "sys_setns", "__x64_sys_setns2", "__x64_sys_"] {
        assert!(!path(&[symbol]).switches_namespaces(), "{symbol}");
    }
}

#[test]
fn a_path_without_names_answers_nothing() {
    let nameless = path(&["", ""]);
    assert!(!nameless.has_names());
    assert!(!Path::default().has_names());
    assert!(!nameless.is_interrupted());
    assert!(path(&["", "x"]).has_names());
}

#[test]
fn every_question_and_every_function_in_it_stands_there_once() {
    let names: BTreeSet<_> = QUESTIONS.iter().map(|question| question.name).collect();
    assert_eq!(names.len(), QUESTIONS.len());
    for Question { name, functions, unseen } in QUESTIONS {
        let symbols: Vec<_> = functions.iter().flat_map(Function::symbols).collect();
        assert!(!symbols.is_empty(), "{name}");
        assert_eq!(symbols.iter().collect::<BTreeSet<_>>().len(), symbols.len(), "{name}");
        // `check` has so much room for it.
        assert!(name.len() <= 19, "{name}");
        assert!(!unseen.is_empty() && !unseen.ends_with('.'), "{name}: it is a part of a sentence");
    }
}

/// The code of a file without its tests.
fn code(file: &File) -> String {
    let text = fs::read_to_string(file).unwrap();
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned()
}

fn sources(folder: &File) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

#[test]
fn no_verdict_spells_a_kernel_function() {
    let src = File::new(env!("CARGO_MANIFEST_DIR")).join("src");
    // The table itself; that of what hooks sit on; and where nothing is judged.
    let others = ["kernel/path.rs", "live/probe", "sink", "testing"].map(|other| src.join(other));
    let symbols: BTreeSet<_> =
        QUESTIONS.iter().flat_map(|question| question.functions).flat_map(Function::symbols).collect();
    // A hook may be called as the function that it sits on.
    let is_hook = |symbol: &String| HOOKS.iter().any(|hook| hook.program == symbol);
    let mut looked_at = 0;
    for file in sources(&src) {
        let is_rust = file.extension().is_some_and(|extension| extension == "rs");
        if !is_rust || file.ends_with("tests.rs") || others.iter().any(|other| file.starts_with(other)) {
            continue;
        }
        looked_at += 1;
        let code = code(&file);
        for symbol in symbols.iter().filter(|symbol| !is_hook(symbol)) {
            assert!(!code.contains(&format!("\"{symbol}\"")), "{} spells {symbol}", file.display());
        }
    }
    assert!(looked_at > 50, "the sources are elsewhere");
}
