//! Who set the addresses of a link.

use std::rc::Rc;

use super::{Correlator, Ended, blame};
use crate::fact::{Address, AddressFact, Ktime, LinkChange, LinkFact, Task};

/// Addresses of a link whose setters are remembered, the latest.
const MAX_ADDRESSES: usize = 16;
/// Callers of a setter that may be the client that keeps an address: it calls a script, and that calls `ip`.
const MAX_CALLERS: usize = 3;
/// How long after an address was set a process must live to be the one that kept it; a command ends at once.
const KEEPS_NS: u64 = 2_000_000_000;

/// Who set an address.
#[derive(Clone, Debug)]
pub struct Setter {
    /// When.
    pub at: Ktime,
    /// The process.
    pub by: Rc<Task>,
    /// The end of the process, or of one of its callers, whichever lived on after that and ended last.
    pub ended: Option<Rc<Ended>>,
}

/// The addresses of a link that were seen being set.
#[derive(Clone, Debug, Default)]
pub struct Addresses(Vec<(Address, Setter)>);

impl Addresses {
    /// The link got an address; `None` if nobody asked for it.
    fn add(&mut self, at: Ktime, address: Address, by: Option<Rc<Task>>) {
        self.remove(address);
        let Some(by) = by else { return };
        if self.0.len() >= MAX_ADDRESSES {
            self.0.remove(0);
        }
        self.0.push((address, Setter { at, by, ended: None }));
    }

    /// The link lost an address.
    pub fn remove(&mut self, address: Address) {
        self.0.retain(|(known, _)| *known != address);
    }

    /// The link lost all of them, or records of what happened to them were lost.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    fn setter(&self, address: Address) -> Option<&Setter> {
        self.0.iter().find(|(known, _)| *known == address).map(|(_, setter)| setter)
    }
}

impl Correlator {
    /// A link got an address, or lost one without an event.
    pub(super) fn address(&mut self, at: Ktime, fact: &AddressFact) {
        let actor = self.tasks.whole(&fact.task);
        let asked = fact.path.sets_address() && !blame::is_innocent(&fact.task, &fact.path);
        let Some(life) = self.links.find_mut(&fact.link) else { return };
        if fact.added {
            life.addresses.add(at, fact.address, asked.then_some(actor));
        } else {
            life.addresses.remove(fact.address);
        }
    }

    /// Who had set the address that a link loses.
    pub(super) fn setter(&self, fact: &LinkFact, addresses: &Addresses) -> Option<Setter> {
        let lost = fact.address.filter(|_| fact.change == LinkChange::AddressRemoved)?;
        let setter = addresses.setter(lost)?;
        let callers = setter.by.ancestors.iter().take(MAX_CALLERS).map(|caller| caller.process);
        let ends = std::iter::once(setter.by.task.process)
            .chain(callers)
            .filter_map(|process| self.netns.end_of(&fact.home()?, process));
        let kept = ends.filter(|ended| ended.at.0 > setter.at.0.saturating_add(KEEPS_NS));
        Some(Setter { ended: kept.max_by_key(|ended| ended.at), ..setter.clone() })
    }
}
