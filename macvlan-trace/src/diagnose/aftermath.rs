//! What is to be said of an incident once it is known what became of its links.

use std::borrow::Cow;

use super::{Remedy, words};
use crate::{event::Outcome, text::Text};

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

/// Why it happened and how it went on: the cause of a verdict, without its full stop, and what became of the only link.
#[must_use]
pub fn cause(cause: &str, links: &[Aftermath<'_>]) -> String {
    match links {
        [Aftermath { link, up_again_ns: Some(ns), was_down, .. }] => {
            let was = if *was_down { "was down" } else { "did not work" };
            format!("{cause}; {link} {was} for {}, and is up again", words::period(*ns))
        }
        _ => cause.to_owned(),
    }
}

/// What to do for the links as they are now: nobody has to undo what is undone.
#[must_use]
pub fn remedy(remedy: Option<&Remedy>, links: &[Aftermath<'_>]) -> Option<String> {
    if links.iter().any(|link| link.outcome == Outcome::Broken) {
        return remedy.map(ToString::to_string);
    }
    let mut steps: Vec<Cow<'_, str>> = Vec::new();
    let up_again = || links.iter().filter(|link| link.outcome == Outcome::UpAgain);
    let lost = up_again().flat_map(|link| link.lost.iter().map(move |address| (address, link)));
    for (address, Aftermath { link, main_pid, .. }) in lost.take(MAX_ADDRESSES) {
        let set = words::set_address(address, link, *main_pid);
        steps.push(format!("{set} sets its address again, if nobody has").into());
    }
    if let Some(was_down) = up_again().find(|link| link.was_down) {
        steps.push(words::keep_addresses(was_down.link).into());
    }
    let then = remedy.and_then(Remedy::once_undone);
    match then {
        Some(then) => steps.push(then.into()),
        None if steps.is_empty() => return None,
        None => {}
    }
    let stop = if then.is_none() { "." } else { "" };
    Some(capital(&format!("{}{stop}", steps.join("; "))))
}

/// Our own words with a capital at the beginning; a command stays as it is.
fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}
