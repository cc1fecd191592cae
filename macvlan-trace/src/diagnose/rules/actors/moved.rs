//! The link is not gone: it lives in another network namespace.

use crate::{
    correlate::Cause,
    diagnose::{Rule, asked},
    fact::LinkChange,
};

/// The rule.
pub const RULE: Rule = Rule {
    name: "moved",
    page: include_str!("../../pages/moved.md"),
    judge: |case| {
        let Cause::Request(task) = &case.cause else { return None };
        (case.fact.change == LinkChange::Moved).then(|| asked(RULE.name, case, task))
    },
};

#[cfg(test)]
mod tests {
    use crate::testing::story::{
        cast::{ip, link},
        netns,
    };

    #[test]
    fn a_link_that_moves_is_told_to_be_elsewhere() {
        let (mut story, link) = link();
        let by = ip("ip link set macvlan0 netns x");
        story.moves(&by, (netns(0), 7), &link.moved_to(netns(1), 2));
        story.tell().last().verdict("moved", "certain").culprit(&by);
    }

    #[test]
    fn a_link_whose_name_is_taken_where_it_goes_is_told_by_its_own_and_with_the_new_one() {
        let (mut story, link) = link();
        let by = ip("ip link set macvlan0 netns x");
        story.moves(&by, (netns(0), 7), &link.moved_to(netns(1), 2).called("dev2"));
        story
            .tell()
            .last()
            .is("/link/name", "macvlan0")
            .is("/to/name", "dev2")
            .says("/verdict/cause", "moved macvlan0 to another network namespace, where it is called dev2");
    }
}
