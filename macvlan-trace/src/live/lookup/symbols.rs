//! Names of kernel functions, for stacks.
//!
//! Most runs never print a stack, so /proc/kallsyms is read for the first address, and again if a module has been
//! loaded since. A wrong name is worse than none: an address in a module has a name only if the module is still where
//! the table has it, and if no other module can have been there when the address was recorded.

mod modules;
mod table;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{self, BufRead, BufReader},
};

use crate::{
    fact::Ktime,
    live::{clock, decode},
};
use modules::Place;
use table::{Table, for_each_function};

const KALLSYMS: &str = "/proc/kallsyms";
const MODULES: &str = "/proc/modules";

/// Addresses above this are the kernel's, on every architecture that is supported.
const KERNEL: u64 = 1 << 63;

/// Where the names are read from.
pub trait Machine {
    /// The time.
    fn now(&self) -> Ktime;
    /// /proc/modules.
    fn modules(&self) -> io::Result<String>;
    /// /proc/kallsyms.
    fn kallsyms(&self) -> io::Result<impl BufRead>;
}

/// The machine that this runs on.
#[derive(Debug, Default)]
pub struct ThisMachine;

impl Machine for ThisMachine {
    fn now(&self) -> Ktime {
        clock::now()
    }

    fn modules(&self) -> io::Result<String> {
        fs::read_to_string(MODULES)
    }

    fn kallsyms(&self) -> io::Result<impl BufRead> {
        Ok(BufReader::with_capacity(64 << 10, File::open(KALLSYMS)?))
    }
}

/// The kernel's functions.
#[derive(Debug, Default)]
pub struct Symbols<M = ThisMachine> {
    machine: M,
    table: Option<Table>,
    /// The modules in the table, which were there before and after it was read.
    tabled: HashMap<String, Place>,
    /// The modules that were there at the last look.
    modules: HashMap<String, Module>,
    /// When that was.
    looked: Ktime,
}

/// A module that is loaded.
#[derive(Debug)]
struct Module {
    place: Place,
    /// Since this time, no other module has been in its place.
    since: Ktime,
}

impl<M: Machine> Symbols<M> {
    /// The name of the function that an address was in at that time. `None` if that is not certain.
    fn resolve(&mut self, address: u64, at: Ktime) -> Option<&str> {
        if address < KERNEL {
            return None;
        }
        if self.table.is_none() {
            self.read_table();
        }
        if !self.is_the_kernels_own(address) {
            if at > self.looked {
                self.look();
            }
            // That takes 210 ms in a guest. It only happens after a module was loaded, which takes as long.
            if !self.is_known(address, at) && self.is_outdated() {
                self.read_table();
            }
            if !self.is_known(address, at) {
                return None;
            }
        }
        self.table.as_ref()?.resolve(address)
    }

    /// Whether an address is in the kernel itself, which stays in its place. If all addresses are hidden, nothing has
    /// to be looked up.
    fn is_the_kernels_own(&self, address: u64) -> bool {
        self.table.as_ref().is_some_and(|table| table.hidden || table.module(address) == Some(""))
    }

    /// Whether the module in which the table has an address was there at that time. eBPF programs and trampolines do
    /// not count: they are loaded and unloaded without a trace.
    fn is_known(&self, address: u64, at: Ktime) -> bool {
        let name = self.table.as_ref().and_then(|table| table.module(address)).unwrap_or_default();
        let module = self.modules.get(name).filter(|module| module.since <= at);
        module.is_some_and(|module| self.tabled.get(name) == Some(&module.place))
    }

    /// Whether a module was loaded since the table was read.
    fn is_outdated(&self) -> bool {
        self.modules.iter().any(|(name, module)| self.tabled.get(name) != Some(&module.place))
    }

    /// Looks which modules are loaded. If some were unloaded since the last look, new ones may be in their place, and
    /// an address recorded in between may be in either.
    fn look(&mut self) {
        let now = self.machine.now();
        // If modules cannot be read, none are known.
        let places = modules::parse(&self.machine.modules().unwrap_or_default());
        // A module that was unloaded and loaded again may be another one.
        self.tabled.retain(|name, place| places.get(name) == Some(place));
        let some_went = self.modules.iter().any(|(name, module)| places.get(name) != Some(&module.place));
        let since = if some_went { now } else { Ktime(0) };
        let mut before = std::mem::take(&mut self.modules);
        for (name, place) in places {
            let module = match before.remove(&name) {
                Some(module) if module.place == place => module,
                _ => Module { place, since },
            };
            self.modules.insert(name, module);
        }
        self.looked = now;
    }

    fn read_table(&mut self) {
        self.look();
        let before = self.modules.iter().map(|(name, module)| (name.clone(), module.place.clone())).collect();
        // Two tables at a time would take twice the memory.
        self.table = None;
        let table = self.machine.kallsyms().and_then(Table::parse);
        self.table = Some(table.unwrap_or_else(|_| Table::without_names()));
        self.tabled = before;
        self.look();
    }
}

impl<M: Machine> decode::Resolve for Symbols<M> {
    fn resolve(&mut self, address: u64, at: Ktime) -> Option<&str> {
        Self::resolve(self, address, at)
    }
}

/// The functions of this kernel, and of the modules that are loaded, whose names are wanted. It needs no privileges.
pub fn functions(wanted: impl Fn(&str) -> bool) -> io::Result<HashSet<String>> {
    find_functions(ThisMachine.kallsyms()?, wanted)
}

fn find_functions(kallsyms: impl BufRead, wanted: impl Fn(&str) -> bool) -> io::Result<HashSet<String>> {
    let mut found = HashSet::new();
    for_each_function(kallsyms, |function| {
        if wanted(function.name) {
            found.insert(function.name.to_owned());
        }
    })?;
    Ok(found)
}
