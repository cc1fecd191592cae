//! The memory of a deleted link is still in use: the kernel leaks a reference.

use crate::{
    correlate::Remark,
    diagnose::words,
    sentence::{Period, Sentence, sentence},
};

/// The name of the rule, whose verdict is a remark: there is no event.
pub const NAME: &str = "reference-leak";

/// Its page.
pub const PAGE: &str = include_str!("../../pages/reference-leak.md");

/// The sentence of the remark, without its full stop.
pub fn sentence(remark: &Remark) -> Sentence {
    let (was, has) = if remark.count() > 1 { ("were", "have") } else { ("was", "has") };
    sentence!(
        "{} {} deleted {} ago and {} not been freed: something in the kernel still holds a reference, and whoever \
         waits for the deletion hangs",
        words::links(remark),
        was,
        Period(remark.waited_ns),
        has
    )
}

#[cfg(test)]
mod tests {
    use crate::{
        fact::What,
        testing::story::cast::{ip, link},
    };

    #[test]
    fn memory_that_is_not_freed_is_told_where_frees_are_seen() {
        for (hooks, freed, wanted) in [
            (&["free_netdev"][..], false, true),
            (&["free_netdev"], true, false),
            (&["unregister"], false, false),
        ] {
            let (mut story, link) = link();
            story.hooked(hooks).deletes(&ip("ip"), &link);
            if freed {
                story.fact(What::Freed { dev: link.link.dev.expect("it has an address") });
            }
            let told = story.ticks_after_ms(5_000).ticks_after_ms(6_000).ticks_after_ms(6_000).tell();
            let leaks = told.notices().iter().filter(|notice| notice["rule"] == "reference-leak").count();
            assert_eq!(leaks, usize::from(wanted), "{hooks:?}, {freed}: {told}");
        }
    }
}
