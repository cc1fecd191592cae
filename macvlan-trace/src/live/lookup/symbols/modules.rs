//! /proc/modules: which modules are loaded, and where.

use std::collections::HashMap;

/// The modules by their name.
pub type Modules = HashMap<String, Place>;

/// Where a module is. This changes when the module is replaced, even by one of the same name. The size also changes
/// when the initialisation is over, since that has functions of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    base: String,
    size: String,
}

/// Reads lines such as `macvlan 32768 1 macvtap, Live 0xffffffffc0a01000`, with or without a note at the end (`m_show`,
/// kernel/module/procfs.c). Users and state of a module are left out.
pub fn parse(text: &str) -> Modules {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let (name, size) = (words.next()?, words.next()?);
            let base = words.nth(3)?;
            Some((name.to_owned(), Place { base: base.to_owned(), size: size.to_owned() }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_much_a_module_is_used_does_not_change_where_it_is() {
        let before =
            parse("macvlan 32768 0 - Live 0xffffffffc0a01000\nifb 16384 0 - Live 0xffffffffc0b00000 (OE)\n");
        let after = parse(
            "macvlan 32768 2 macvtap,ipvtap, Unloading 0xffffffffc0a01000\nifb 16384 0 - Live 0xffffffffc0b00000\n",
        );
        assert_eq!(before, after);
        assert_eq!(before.len(), 2);
        let elsewhere = parse("macvlan 32768 0 - Live 0xffffffffc0a02000\n");
        assert_ne!(before["macvlan"], elsewhere["macvlan"]);
        let other = parse("macvlan 28672 0 - Live 0xffffffffc0a01000\n");
        assert_ne!(before["macvlan"], other["macvlan"]);
    }

    #[test]
    fn broken_lines_are_passed_over() {
        assert!(parse("\nmacvlan\nmacvlan 1 2 3\n").is_empty());
    }
}
