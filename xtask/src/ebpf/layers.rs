//! The eBPF crate has layers: a module uses only the layers below its own, so it can be read without those above, and
//! the state that one program leaves for another is in one place.

use std::fs;

use anyhow::{Context as _, Result};

use super::stamp::{PACKAGE, source_files};
use crate::workspace::Workspace;

/// From the top. Modules of one layer do not use each other.
const LAYERS: [&[&str]; 8] = [
    &["probes"],
    &["report"],
    &["lane"],
    &["request"],
    &[
        "state::announced",
        "state::moves",
        "state::attempts",
        "state::newlinks",
        "state::own",
        "state::parents",
        "state::programs",
        "state::watched",
    ],
    &["capture::netdev", "capture::stack", "capture::task"],
    &["capture::buffer", "capture::netlink", "capture::netns"],
    &["counters", "kinds", "kread"],
];

/// The layer that a path belongs to.
fn layer(path: &str) -> Option<usize> {
    let is_in = |module: &str| {
        path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    LAYERS.iter().position(|modules| modules.iter().any(|module| is_in(module)))
}

/// The paths that a module uses but may not.
fn faults(module: &str, source: &str) -> Vec<String> {
    let own = layer(module);
    let may = |path: &str| {
        path.strip_prefix(module).is_some_and(|rest| rest.starts_with("::"))
            || matches!((own, layer(path)), (Some(own), Some(used)) if used > own)
    };
    // Documentation may point anywhere.
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let code = source.lines().filter(is_code).collect::<Vec<_>>().join("\n");
    let mut used = Vec::new();
    for (at, start) in code.match_indices("crate::") {
        expand("", &code[at + start.len()..], &mut used);
    }
    // This cannot check paths that do not begin at the crate.
    used.extend(["super::", "self::"].into_iter().filter(|way| code.contains(way)).map(str::to_owned));
    used.retain(|path| !may(path));
    used
}

/// Adds the paths of a tree such as `capture::{netns, task}`. Returns the rest of the source.
fn expand<'a>(prefix: &str, tree: &'a str, paths: &mut Vec<String>) -> &'a str {
    let tree = tree.trim_start();
    if let Some(mut rest) = tree.strip_prefix('{') {
        loop {
            rest = expand(prefix, rest, paths).trim_start();
            match rest.strip_prefix(',') {
                Some(next) => rest = next,
                None => return rest.strip_prefix('}').unwrap_or(rest),
            }
        }
    }
    let end = tree.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(tree.len());
    let (name, rest) = tree.split_at(end);
    if name.is_empty() {
        return rest;
    }
    let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}::{name}") };
    match rest.strip_prefix("::") {
        Some(rest) => expand(&path, rest, paths),
        None => {
            paths.push(path);
            rest
        }
    }
}

#[test]
fn each_module_of_the_ebpf_crate_uses_only_those_below_it() -> Result<()> {
    let package = Workspace::find()?.root().join(PACKAGE);
    let mut modules = Vec::new();
    for file in source_files(&package)? {
        // The files include the manifest.
        let Ok(path) = file.strip_prefix(package.join("src")) else { continue };
        let path = path.with_extension("").to_string_lossy().replace('/', "::");
        let module = path.strip_suffix("::mod").unwrap_or(&path);
        let source = fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
        assert_eq!(faults(module, &source), [""; 0], "{module} uses what is not below it");
        modules.push(module.to_owned());
    }
    for layer in LAYERS.into_iter().flatten() {
        assert!(modules.iter().any(|module| module == layer), "there is no module {layer}");
    }
    Ok(())
}

#[test]
fn a_use_of_what_is_not_below_is_found() {
    let found = |module, source| faults(module, source).join(" ");
    let source = "use crate::{\n    capture::{buffer::{Buffer, SIZE}, netns},\n    report::hand_over,\n};";
    assert_eq!(found("state::moves", source), "report::hand_over");
    assert_eq!(found("probes::open", source), "");
    let source = "use crate::{\n    kread::{read, settings},\n    lane::occupy,\n};";
    assert_eq!(found("counters", source), "kread::read kread::settings lane::occupy");
    assert_eq!(found("state::moves", "let open = crate::state::opens::end();"), "state::opens::end");
    assert_eq!(found("state::moves", "/// See [`crate::report`].\nuse crate::counters::count;"), "");
    assert_eq!(found("kread", "($field:ident) => { $crate::kread::load() }"), "");
    assert_eq!(found("probes::open", "use super::address;"), "super::");
    assert_eq!(found("maps", "use crate::counters::count;"), "counters::count", "no layer has it");
    assert_eq!(found("probes::open", "use crate::maps::MOVES;"), "maps::MOVES", "no layer has it");
}
