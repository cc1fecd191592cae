use std::{cell::Cell, fmt::Write as _};

use super::*;

/// Where the kernel keeps modules.
const ROOM: u64 = 0xffff_ffff_c0a0_0000;
const SECOND: u64 = 1_000_000_000;

/// A machine whose modules come and go.
#[derive(Default)]
struct Fake {
    /// Name, address and the only function, at the beginning.
    modules: Vec<(&'static str, u64, &'static str)>,
    now: u64,
    /// How often the modules and the functions were read.
    looks: Cell<u32>,
    reads: Cell<u32>,
}

impl Machine for Fake {
    fn now(&self) -> Ktime {
        Ktime(self.now)
    }

    fn modules(&self) -> io::Result<String> {
        self.looks.set(self.looks.get() + 1);
        let mut text = String::new();
        for (name, address, _) in &self.modules {
            writeln!(text, "{name} 16384 0 - Live {address:#x}").unwrap();
        }
        Ok(text)
    }

    fn kallsyms(&self) -> io::Result<impl BufRead> {
        self.reads.set(self.reads.get() + 1);
        let mut text =
            "ffffffff81000000 T do_exit\nffffffff81db6a90 T unregister_netdevice_queue\n".to_owned();
        for (name, address, function) in &self.modules {
            writeln!(text, "{address:x} t {function}\t[{name}]").unwrap();
        }
        writeln!(text, "{:x} t bpf_prog_6deef7357e7b4530\t[bpf]", ROOM + 0x80000).unwrap();
        Ok(io::Cursor::new(text))
    }
}

/// A kernel with macvlan at the beginning of the room; names are asked for from the tenth second on.
fn symbols() -> Symbols<Fake> {
    let mut symbols = Symbols::<Fake>::default();
    symbols.machine.modules = vec![("macvlan", ROOM, "macvlan_dellink")];
    symbols.machine.now = 10 * SECOND;
    symbols
}

impl Symbols<Fake> {
    /// The modules are others now, some seconds later.
    fn later(&mut self, seconds: u64, modules: &[(&'static str, u64, &'static str)]) {
        self.machine.now += seconds * SECOND;
        self.machine.modules = modules.to_vec();
    }

    /// The name of an address that was recorded so many seconds ago.
    fn ago(&mut self, seconds: u64, address: u64) -> Option<&str> {
        let at = Ktime(self.machine.now - seconds * SECOND);
        self.resolve(address + 0x10, at)
    }

    fn reads(&self) -> u32 {
        self.machine.reads.get()
    }
}

#[test]
fn a_module_in_the_place_of_another_is_named_by_its_own_functions() {
    let mut symbols = symbols();
    assert_eq!(symbols.ago(0, ROOM), Some("macvlan_dellink"));
    symbols.later(20, &[("dummy", ROOM, "dummy_setup")]);
    symbols.look();
    symbols.machine.now += 1;
    assert_eq!(symbols.ago(0, ROOM), Some("dummy_setup"));
    // The same name at the same place, and yet another module, of another size.
    symbols.later(20, &[]);
    symbols.look();
    symbols.later(20, &[("dummy", ROOM, "other_setup")]);
    assert_eq!(symbols.ago(0, ROOM), Some("other_setup"));
}

#[test]
fn what_was_recorded_while_one_module_followed_another_has_no_name() {
    let mut symbols = symbols();
    assert_eq!(symbols.ago(0, ROOM), Some("macvlan_dellink"));
    symbols.later(20, &[("dummy", ROOM, "dummy_setup")]);
    assert_eq!(symbols.ago(1, ROOM), None);
    // Of what comes now it is known.
    assert_eq!(symbols.ago(0, ROOM), Some("dummy_setup"));
}

#[test]
fn a_module_that_is_gone_names_nothing() {
    let mut symbols = symbols();
    assert_eq!(symbols.ago(0, ROOM), Some("macvlan_dellink"));
    symbols.later(20, &[]);
    assert_eq!(symbols.ago(0, ROOM), None);
    assert_eq!(symbols.ago(0, 0xffff_ffff_8100_0000), Some("do_exit"));
    assert_eq!(symbols.reads(), 1, "there is nothing new to read");
}

#[test]
fn every_module_that_comes_has_names_however_many_they_are() {
    let mut symbols = symbols();
    for n in 1..100 {
        let address = ROOM + 0x1000 * n;
        symbols.later(
            20,
            &[
                ("macvlan", ROOM, "macvlan_dellink"),
                (if n % 2 == 0 { "one" } else { "two" }, address, "init"),
            ],
        );
        symbols.look();
        symbols.machine.now += 1;
        assert_eq!(symbols.ago(0, address), Some("init"), "{n}");
    }
}

#[test]
fn addresses_without_a_name_do_not_make_it_read_again() {
    let mut symbols = symbols();
    for _ in 0..100 {
        symbols.machine.now += 20 * SECOND;
        assert_eq!(symbols.ago(0, ROOM + 0x40000), None);
        assert_eq!(symbols.ago(0, ROOM + 0x80000), None, "an eBPF program may be another one by now");
    }
    assert_eq!(symbols.reads(), 1);
}

#[test]
fn a_module_that_has_just_come_has_names_and_the_table_is_read_once_for_it() {
    let mut symbols = symbols();
    assert_eq!(symbols.ago(0, ROOM), Some("macvlan_dellink"));
    let (macvlan, dummy) = (("macvlan", ROOM, "macvlan_dellink"), ("dummy", ROOM + 0x10000, "dummy_setup"));
    symbols.later(1, &[macvlan, dummy]);
    assert_eq!(symbols.ago(0, dummy.1), Some("dummy_setup"));
    assert_eq!(symbols.ago(0, ROOM), Some("macvlan_dellink"));
    assert_eq!(symbols.reads(), 2);
    let tun = ("tun", ROOM + 0x20000, "tun_chr_close");
    symbols.later(1, &[macvlan, dummy, tun]);
    assert_eq!(symbols.ago(0, tun.1), Some("tun_chr_close"));
    assert_eq!(symbols.ago(0, dummy.1), Some("dummy_setup"));
    assert_eq!(symbols.reads(), 3);
}

#[test]
fn a_look_at_the_modules_serves_all_that_was_recorded_before_it() {
    let mut symbols = symbols();
    assert_eq!(symbols.ago(0, ROOM), Some("macvlan_dellink"));
    let looks = symbols.machine.looks.get();
    symbols.machine.now += SECOND;
    assert_eq!(symbols.ago(0, 0xffff_ffff_8100_0000), Some("do_exit"));
    assert_eq!(symbols.machine.looks.get(), looks, "the kernel itself stays where it is");
    for _ in 0..100 {
        assert_eq!(symbols.ago(0, ROOM), Some("macvlan_dellink"));
    }
    assert_eq!(symbols.machine.looks.get(), looks + 1);
}

#[test]
fn addresses_of_programs_are_never_asked_for() {
    let mut symbols = symbols();
    assert_eq!(symbols.ago(0, 0x5555_0000_1000), None);
    assert_eq!((symbols.reads(), symbols.machine.looks.get()), (0, 0));
}

#[test]
fn functions_are_found_by_their_names_even_where_addresses_are_hidden() {
    let found = |kallsyms: &str, wanted: &[&str]| {
        find_functions(kallsyms.as_bytes(), |name| wanted.contains(&name)).unwrap()
    };
    let kallsyms = "ffffffff81db6a90 T unregister_netdevice_queue\nffffffff82a01000 D init_net\n\
                    ffffffffc0a02000 t macvlan_dellink\t[macvlan]\n";
    let wanted = ["macvlan_dellink", "init_net", "unregister_netdevice"];
    assert_eq!(found(kallsyms, &wanted), HashSet::from(["macvlan_dellink".to_owned()]));
    let hidden = "0000000000000000 T do_exit\n0000000000000000 t do_exit.cold\n";
    assert_eq!(found(hidden, &["do_exit", "do_exit.cold.1"]), HashSet::from(["do_exit".to_owned()]));
}
