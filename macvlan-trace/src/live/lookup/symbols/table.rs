//! /proc/kallsyms as a table that takes little memory.

use std::io::{self, BufRead};

/// How long the last function of a module may be: kallsyms has no lengths.
const LAST_FUNCTION: u64 = 4096;

/// All functions, ordered by address. Each takes 8 bytes and the bytes of its name.
#[derive(Debug, Default)]
pub struct Table {
    /// Stretches of functions that belong together, such as a module's.
    runs: Vec<Run>,
    /// Where each function starts, from the start of its run.
    starts: Vec<u32>,
    /// Where each name starts in `text`; it ends at a NUL.
    names: Vec<u32>,
    /// The names.
    text: String,
    /// The modules. The first is the kernel itself and has no name.
    owners: Vec<String>,
    /// Whether all addresses are zero.
    pub hidden: bool,
}

/// A stretch of functions that belong together.
#[derive(Debug)]
struct Run {
    start: u64,
    end: u64,
    /// Place of its first function.
    first: usize,
    /// Place of its module.
    owner: usize,
}

/// A line of the table.
pub struct Function<'a> {
    /// Where it starts.
    pub address: u64,
    /// Its name.
    pub name: &'a str,
    /// Its module; `None` for the kernel's own.
    pub module: Option<&'a str>,
}

/// A function, before sorting.
struct Unsorted {
    address: u64,
    name: u32,
    /// Place of its module.
    owner: usize,
}

impl Table {
    /// The table of a kernel whose functions cannot be read.
    pub fn without_names() -> Self {
        Self { hidden: true, ..Self::default() }
    }

    /// Reads all functions.
    pub fn parse(kallsyms: impl BufRead) -> io::Result<Self> {
        let mut functions: Vec<Unsorted> = Vec::new();
        let mut text = String::new();
        let mut owners = vec![String::new()];
        let mut zeros = false;
        for_each_function(kallsyms, |function| {
            zeros |= function.address == 0;
            // Padding in front of each function, which never runs; it would double the table.
            if function.address == 0 || function.name.starts_with("__pfx_") {
                return;
            }
            let Ok(name) = u32::try_from(text.len()) else { return };
            // The functions of a module stand together.
            let module = function.module.unwrap_or_default();
            let owner = owners.iter().rposition(|owner| owner == module).unwrap_or_else(|| {
                owners.push(module.to_owned());
                owners.len() - 1
            });
            text.push_str(function.name);
            text.push('\0');
            functions.push(Unsorted { address: function.address, name, owner });
        })?;
        text.shrink_to_fit();
        let mut table = Self { text, owners, hidden: zeros && functions.is_empty(), ..Self::default() };
        table.fill(functions);
        Ok(table)
    }

    fn fill(&mut self, mut functions: Vec<Unsorted>) {
        // The sort is stable: of functions at one address, the kernel uses the first name, too.
        functions.sort_by_key(|function| function.address);
        functions.dedup_by_key(|function| function.address);
        self.starts.reserve_exact(functions.len());
        self.names.reserve_exact(functions.len());
        let mut owner = None;
        for function in &functions {
            let in_run = self.runs.last().filter(|_| owner == Some(function.owner));
            let start = in_run
                .and_then(|run| u32::try_from(function.address - run.start).ok())
                .unwrap_or_else(|| {
                    if let Some(last) = self.runs.last_mut() {
                        last.end = last.end.min(function.address);
                    }
                    self.runs.push(Run {
                        start: function.address,
                        end: 0,
                        first: self.starts.len(),
                        owner: function.owner,
                    });
                    0
                });
            owner = Some(function.owner);
            self.starts.push(start);
            self.names.push(function.name);
            if let Some(run) = self.runs.last_mut() {
                run.end = function.address.saturating_add(LAST_FUNCTION);
            }
        }
        self.runs.shrink_to_fit();
    }

    /// The module that an address was in when the table was read; the kernel itself is a module without a name.
    pub fn module(&self, address: u64) -> Option<&str> {
        self.run_of(address).map(|place| self.owners[self.runs[place].owner].as_str())
    }

    /// The function that an address was in when the table was read.
    pub fn resolve(&self, address: u64) -> Option<&str> {
        let place = self.run_of(address)?;
        let run = &self.runs[place];
        let last = self.runs.get(place + 1).map_or(self.starts.len(), |next| next.first);
        let starts = &self.starts[run.first..last];
        let offset = address - run.start;
        let function =
            run.first + starts.partition_point(|start| u64::from(*start) <= offset).checked_sub(1)?;
        let name = self.text.get(usize::try_from(self.names[function]).ok()?..)?;
        name.split('\0').next()
    }

    fn run_of(&self, address: u64) -> Option<usize> {
        let place = self.runs.partition_point(|run| run.start <= address).checked_sub(1)?;
        (address < self.runs[place].end).then_some(place)
    }
}

/// Reads lines such as `ffffffffc0a01000 t macvlan_dellink [macvlan]`, and passes the functions on.
pub fn for_each_function(mut kallsyms: impl BufRead, mut each: impl FnMut(Function<'_>)) -> io::Result<()> {
    let mut line = Vec::new();
    while kallsyms.read_until(b'\n', &mut line)? > 0 {
        if let Some(function) = parse(&line) {
            each(function);
        }
        line.clear();
    }
    Ok(())
}

/// Reads a line, with or without its end. There are more than a hundred thousand, and half of them are not functions.
fn parse(line: &[u8]) -> Option<Function<'_>> {
    let (address, rest) = line.split_at_checked(line.iter().position(|byte| *byte == b' ')?)?;
    let [b' ', b't' | b'T' | b'w' | b'W', b' ', rest @ ..] = rest else { return None };
    let address = address.iter().try_fold(0_u64, |value, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        value.checked_mul(16)?.checked_add(u64::from(digit))
    })?;
    let mut words = std::str::from_utf8(rest).ok()?.split_ascii_whitespace();
    let name = words.next()?;
    let module = words.next().map(|module| module.trim_matches(['[', ']']));
    Some(Function { address, name, module })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From a Debian kernel; addresses and all, but fewer lines.
    const SAMPLE: &str = "\
0000000000000000 A fixed_percpu_data
ffffffff81000000 T _stext
ffffffff81000000 T _text
ffffffff81db6a80 T __pfx_unregister_netdevice_queue
ffffffff81db6a90 T unregister_netdevice_queue
ffffffff81db6b60 t __pfx_default_device_exit_batch
ffffffff81db6b70 t default_device_exit_batch
ffffffff82a01000 D init_net
ffffffff82c00000 W weak_one
ffffffffc0b0f000 t bpf_prog_6deef7357e7b4530	[bpf]
ffffffffc0b2f000 t bpf_prog_9a1c3f1c0e8c2b11	[bpf]
ffffffffc0a02000 t macvlan_dellink	[macvlan]
ffffffffc0a01000 t macvlan_init	[macvlan]
ffffffffc0a05000 d macvlan_link_ops	[macvlan]
ffffffffc0a10000 t macvtap_dellink	[macvtap]
";

    fn table(text: &str) -> Table {
        Table::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn an_address_is_in_the_function_before_it() {
        let table = table(SAMPLE);
        assert_eq!(table.resolve(0xffff_ffff_81db_6a90), Some("unregister_netdevice_queue"));
        assert_eq!(table.resolve(0xffff_ffff_81db_6b6f), Some("unregister_netdevice_queue"));
        assert_eq!(table.resolve(0xffff_ffff_81db_6b70), Some("default_device_exit_batch"));
        assert_eq!(table.resolve(0xffff_ffff_c0a0_1abc), Some("macvlan_init"));
        assert_eq!(table.resolve(0xffff_ffff_c0a0_2001), Some("macvlan_dellink"));
        assert_eq!(table.resolve(0xffff_ffff_82c0_0001), Some("weak_one"));
    }

    #[test]
    fn an_address_is_in_the_module_of_its_function() {
        let table = table(SAMPLE);
        assert_eq!(table.module(0xffff_ffff_81db_6a90), Some(""));
        assert_eq!(table.module(0xffff_ffff_c0a0_1abc), Some("macvlan"));
        assert_eq!(table.module(0xffff_ffff_c0b0_f001), Some("bpf"));
        assert_eq!(table.module(0xffff_ffff_c0a0_3000), None);
    }

    #[test]
    fn of_two_names_the_kernel_takes_the_first() {
        assert_eq!(table(SAMPLE).resolve(0xffff_ffff_8100_0000), Some("_stext"));
    }

    #[test]
    fn an_address_outside_of_every_function_has_no_name() {
        let table = table(SAMPLE);
        for address in [
            0,
            0xffff_ffff_80ff_ffff,
            0xffff_ffff_82c0_1000,
            // Between modules, and after the eBPF programs.
            0xffff_ffff_c0a0_3000,
            0xffff_ffff_c0a1_1000,
            0xffff_ffff_c0b3_0000,
            u64::MAX,
        ] {
            assert_eq!(table.resolve(address), None, "{address:x}");
        }
    }

    #[test]
    fn a_kernel_that_hides_its_addresses_names_nothing() {
        let hidden = table("0000000000000000 T _text\n0000000000000000 t do_exit\n");
        assert!(hidden.hidden);
        assert_eq!(hidden.resolve(0xffff_ffff_8100_0000), None);
        assert!(!table(SAMPLE).hidden);
        assert!(!table("").hidden);
    }

    #[test]
    fn broken_lines_are_passed_over() {
        let table = Table::parse(
            &b"\n\xff\xff\nzz T a\nffffffff81000000\nffffffff81000000 T\nffffffff81000000 T ok"[..],
        );
        assert_eq!(table.unwrap().resolve(0xffff_ffff_8100_0010), Some("ok"));
    }

    #[test]
    fn functions_far_apart_keep_their_addresses() {
        let table = table("ffff800000000000 T low\nffffffff81000000 T high\n");
        assert_eq!(table.resolve(0xffff_8000_0000_0000), Some("low"));
        assert_eq!(table.resolve(0xffff_8000_0000_2000), None);
        assert_eq!(table.resolve(0xffff_ffff_8100_0001), Some("high"));
    }
}
