//! What is to be said of an incident once it is known what became of its links.

use super::{Remedy, words};
use crate::{
    event::Outcome,
    sentence::{Part, Period, Sentence, sentence},
    text::Text,
};

/// How many addresses a remedy sets again.
const MAX_ADDRESSES: usize = 3;

/// What became of a link.
#[derive(Clone, Debug)]
pub struct Aftermath<'a> {
    /// Its name.
    pub link: &'a Text,
    /// What became of it.
    pub outcome: Outcome,
    /// How long it was broken, if it is up again.
    pub up_again_ns: Option<u64>,
    /// Whether it was set down, which takes routes and addresses of IPv6.
    pub was_down: bool,
    /// Process id of the main process of its namespace.
    pub main_pid: Option<u32>,
    /// Addresses that it lost.
    pub lost: &'a [String],
}

/// Why it happened and how it went on: the cause of a verdict, and what became of the only link.
#[must_use]
pub fn cause(cause: Sentence, links: &[Aftermath<'_>]) -> Sentence {
    match links {
        [Aftermath { link, up_again_ns: Some(ns), was_down, .. }] => {
            let was = if *was_down { "was down" } else { "did not work" };
            sentence!("{}; {} {} for {}, and is up again", cause, Part::link(link), was, Period(*ns))
        }
        _ => cause,
    }
}

/// What to do for the links as they are now: nobody has to undo what is undone.
#[must_use]
pub fn remedy(remedy: Option<Remedy>, links: &[Aftermath<'_>]) -> Option<Sentence> {
    if links.iter().any(|link| link.outcome == Outcome::Broken) {
        return remedy.map(Remedy::sentence);
    }
    let mut steps = Vec::new();
    let up_again = || links.iter().filter(|link| link.outcome == Outcome::UpAgain);
    let lost = up_again().flat_map(|link| link.lost.iter().map(move |address| (address, link)));
    for (address, Aftermath { link, main_pid, .. }) in lost.take(MAX_ADDRESSES) {
        let set = words::set_address(address.clone(), link, *main_pid);
        steps.push(sentence!("{} sets its address again, if nobody has", set));
    }
    steps.extend(up_again().find(|link| link.was_down).map(|link| words::keep_addresses(link.link)));
    steps.extend(remedy.and_then(Remedy::once_undone));
    (!steps.is_empty()).then(|| Sentence::joined(steps, "; ").capital())
}
