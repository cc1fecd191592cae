//! What the programs cost before they run.

use std::{
    collections::HashSet,
    io::{self, Write as _},
};

use aya::programs::loaded_programs;

use crate::harness::Trace;

/// How many instructions the verifier may follow in all programs together: half as many again as it does on 6.1 (101,818),
/// where it follows the most. Each start waits for that, and it is easily multiplied by one more branch before a loop.
const MOST: u32 = 150_000;

#[test]
fn the_verifier_is_soon_done_with_the_programs() {
    let all = || loaded_programs().map(|program| program.expect("the programs can be listed"));
    // Those of another tracer.
    let before: HashSet<u32> = all().map(|program| program.id()).collect();
    let trace = Trace::start(&[]);
    let mut programs: Vec<(u32, String)> = all()
        .filter(|program| !before.contains(&program.id()))
        .filter_map(|program| {
            // Kernels before 5.16 do not say.
            let followed = program.verified_instruction_count().unwrap_or(0);
            Some((followed, program.name_as_str()?.to_owned()))
        })
        .collect();
    trace.stop();
    assert!(programs.iter().any(|(_, name)| name == "report"), "{programs:?}");
    programs.sort_unstable_by(|a, b| b.cmp(a));
    let all: u32 = programs.iter().map(|(followed, _)| followed).sum();
    let each: Vec<String> = programs.iter().map(|(followed, name)| format!("{name} {followed}")).collect();
    let said = format!("verified instructions: {all}; {}", each.join(", "));
    // Past libtest, which shows nothing of a test that passes: whoever changes a program wants to know.
    let _ = writeln!(io::stdout(), "{said}");
    assert!(all <= MOST, "{said}");
}
