//! Compares the offsets that the program finds with those that an independent parser finds.

use std::fmt::Write as _;

use btf_rs::{Btf, Type};
use macvlan_trace::live::btf::{FIELDS, Place, Resolved};
use macvlan_trace_common::{MISSING, Offsets};
use zerocopy::IntoBytes as _;

/// The same questions, asked to btf-rs.
pub struct Independent(pub Btf);

/// A member of a struct, those of anonymous structs and unions in it included.
struct Member {
    name: String,
    bits: u32,
    ty: Type,
}

impl Independent {
    pub fn parse(bytes: &[u8]) -> Self {
        Self(Btf::from_bytes(bytes).expect("btf-rs takes the kernel's BTF"))
    }

    /// What each struct of that name says about a member; there can be several.
    pub fn offsets(&self, name: &str, path: &str) -> Vec<u32> {
        self.structs(name).into_iter().filter_map(|ty| self.offset_in(ty, path)).collect()
    }

    fn structs(&self, name: &str) -> Vec<Type> {
        let types = self.0.resolve_types_by_name(name).unwrap_or_default();
        types.into_iter().filter(|ty| matches!(ty, Type::Struct(_) | Type::Union(_))).collect()
    }

    fn offset_in(&self, mut ty: Type, path: &str) -> Option<u32> {
        let mut bits = 0;
        for step in path.split('.') {
            let member = self.members(&ty).into_iter().find(|member| member.name == step)?;
            bits += member.bits;
            ty = member.ty;
        }
        Some(bits / 8)
    }

    fn type_of(&self, ty: &Type, path: &str) -> Option<Type> {
        let (first, rest) = path.split_once('.').unwrap_or((path, ""));
        let member = self.members(ty).into_iter().find(|member| member.name == first)?;
        if rest.is_empty() { Some(member.ty) } else { self.type_of(&member.ty, rest) }
    }

    fn members(&self, ty: &Type) -> Vec<Member> {
        let (Type::Struct(parent) | Type::Union(parent)) = ty else { return Vec::new() };
        let mut all = Vec::new();
        for member in &parent.members {
            let name = self.0.resolve_name(member).unwrap_or_default();
            let ty = self.bare(self.0.resolve_chained_type(member).expect("a member has a type"));
            if name.is_empty() {
                let inner = self.members(&ty).into_iter();
                all.extend(inner.map(|inner| Member { bits: member.bit_offset() + inner.bits, ..inner }));
            } else {
                all.push(Member { name, bits: member.bit_offset(), ty });
            }
        }
        all
    }

    /// A type without its modifiers and other names.
    fn bare(&self, mut ty: Type) -> Type {
        while matches!(
            ty,
            Type::Typedef(_) | Type::Const(_) | Type::Volatile(_) | Type::Restrict(_) | Type::TypeTag(_)
        ) {
            let next = ty.as_btf_type().map(|ty| self.0.resolve_chained_type(ty));
            ty = next.and_then(Result::ok).expect("a modifier modifies something");
        }
        ty
    }

    fn constants(&self, list: &str, constant: &str) -> Vec<u32> {
        let types = self.0.resolve_types_by_name(list).unwrap_or_default();
        let members = types.into_iter().filter_map(|ty| match ty {
            Type::Enum(list) => Some(list.members),
            _ => None,
        });
        members
            .flatten()
            .filter(|member| self.0.resolve_name(member).is_ok_and(|name| name == constant))
            .map(|member| member.val())
            .collect()
    }

    /// All answers for a place; more than one different answer is a name that means several things.
    fn answers(&self, place: &Place) -> Vec<u32> {
        let mut answers = match *place {
            Place::Member(name, path) => self.offsets(name, path),
            Place::Number(name, path) => self
                .structs(name)
                .into_iter()
                .filter(|ty| self.type_of(ty, path).is_some_and(|ty| matches!(ty, Type::Int(_))))
                .filter_map(|ty| self.offset_in(ty, path))
                .collect(),
            Place::Size(name) => self
                .structs(name)
                .iter()
                .filter_map(|ty| match ty {
                    Type::Struct(ty) | Type::Union(ty) => u32::try_from(ty.size()).ok(),
                    _ => None,
                })
                .collect(),
            Place::Element(name, array, list, constant) => {
                let starts = self.offsets(name, array);
                let constants = self.constants(list, constant);
                starts.iter().flat_map(|start| constants.iter().map(move |at| start + at * 8)).collect()
            }
        };
        answers.sort_unstable();
        answers.dedup();
        answers
    }
}

/// Numbers that the programs take for granted, with the enums that they are in.
const TAKEN_FOR_GRANTED: [(&str, &str, u32); 7] = [
    ("netdev_cmd", "NETDEV_UP", 1),
    ("netdev_cmd", "NETDEV_DOWN", 2),
    ("netdev_cmd", "NETDEV_UNREGISTER", 6),
    ("netdev_cmd", "NETDEV_CHANGEADDR", 8),
    ("netdev_cmd", "NETDEV_GOING_DOWN", 10),
    ("netdev_cmd", "NETDEV_CHANGENAME", 11),
    ("netdev_state_t", "__LINK_STATE_NOCARRIER", 2),
];

/// Everything in which the program and btf-rs differ about a kernel, and everything that is required and missing.
pub fn differences(resolved: &Resolved, independent: &Independent) -> String {
    let mut found = String::new();
    let names: Vec<_> = FIELDS.iter().map(|field| field.name).collect();
    assert_eq!(names, Offsets::NAMES, "the table and the offsets can be read side by side");
    let ours = resolved.offsets.as_bytes().chunks_exact(4);
    let ours = ours.map(|bytes| u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    for (field, ours) in FIELDS.iter().zip(ours) {
        let answers = field.places.iter().map(|place| independent.answers(place)).find(|all| !all.is_empty());
        let theirs = answers.unwrap_or_default();
        let same = match theirs[..] {
            [] => ours == MISSING,
            [one] => ours == one,
            _ => false,
        };
        if !same {
            let _ = writeln!(found, "{}: we say {ours}, btf-rs says {theirs:?}", field.name);
        }
        let listed = resolved.missing.contains(&field.name) || resolved.unknown.contains(&field.name);
        if listed != theirs.is_empty() {
            let _ = writeln!(found, "{}: listed as missing is {listed}, btf-rs says {theirs:?}", field.name);
        }
    }
    let theirs = independent.constants("netdev_cmd", "NETDEV_CHANGEUPPER");
    if resolved.changeupper.as_slice() != theirs {
        let _ =
            writeln!(found, "NETDEV_CHANGEUPPER: we say {:?}, btf-rs says {theirs:?}", resolved.changeupper);
    }
    for (list, constant, ours) in TAKEN_FOR_GRANTED {
        let theirs = independent.constants(list, constant);
        if theirs != [ours] {
            let _ = writeln!(found, "{constant}: we take it for {ours}, btf-rs says {theirs:?}");
        }
    }
    if !resolved.missing.is_empty() {
        let _ = writeln!(found, "required and missing: {}", resolved.missing.join(", "));
    }
    found
}
