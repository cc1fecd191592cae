//! Parses BTF, as far as offsets need it. Format: Documentation/bpf/btf.rst in the kernel's tree.

use std::{collections::HashMap, fmt};

/// Kinds of type, `BTF_KIND_*`.
mod kind {
    pub const INT: u32 = 1;
    pub const ARRAY: u32 = 3;
    pub const STRUCT: u32 = 4;
    pub const UNION: u32 = 5;
    pub const ENUM: u32 = 6;
    pub const TYPEDEF: u32 = 8;
    pub const VOLATILE: u32 = 9;
    pub const CONST: u32 = 10;
    pub const RESTRICT: u32 = 11;
    pub const FUNC_PROTO: u32 = 13;
    pub const VAR: u32 = 14;
    pub const DATASEC: u32 = 15;
    pub const DECL_TAG: u32 = 17;
    pub const TYPE_TAG: u32 = 18;
    pub const ENUM64: u32 = 19;
}

const MAGIC: u16 = 0xeb9f;
/// Anonymous structs and typedefs nest a few levels deep; more is not a kernel's BTF.
const MAX_DEPTH: u32 = 32;

/// Why bytes are not BTF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BtfError {
    /// What was wrong.
    what: &'static str,
    /// Where, in bytes from the start.
    at: usize,
}

impl fmt::Display for BtfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

impl std::error::Error for BtfError {}

/// One kernel's types.
pub struct Btf {
    bytes: Vec<u8>,
    strings: usize,
    /// Where each type stands, by its id; id 0 is void.
    types: Vec<u32>,
    /// Ids of the named structs and enums that were asked for.
    wanted: HashMap<Vec<u8>, u32>,
}

/// The head of a type.
struct Type {
    kind: u32,
    vlen: usize,
    /// Whether members' offsets hold the size of a bit field too.
    kind_flag: bool,
    /// Size in bytes, or the id of the type that this one refers to.
    size_or_type: u32,
    /// Where its members or other details stand.
    details: usize,
}

impl Btf {
    /// Reads the type section once, and remembers where the structs, unions and enums called `names` are.
    pub fn parse(bytes: Vec<u8>, names: &[&str]) -> Result<Self, BtfError> {
        if u16_at(&bytes, 0)? != MAGIC {
            return Err(BtfError { what: "no BTF magic number", at: 0 });
        }
        let header = u32_at(&bytes, 4)? as usize;
        let start = header + u32_at(&bytes, 8)? as usize;
        let end = start + u32_at(&bytes, 12)? as usize;
        let strings = header + u32_at(&bytes, 16)? as usize;
        if end > bytes.len() || strings > bytes.len() {
            return Err(BtfError { what: "a section ends outside the file", at: bytes.len() });
        }

        let mut btf = Self { bytes, strings, types: vec![0], wanted: HashMap::new() };
        let mut at = start;
        while at < end {
            let id = u32::try_from(btf.types.len())
                .map_err(|_| BtfError { what: "more types than a kernel has", at })?;
            let position =
                u32::try_from(at).map_err(|_| BtfError { what: "more BTF than a kernel has", at })?;
            btf.types.push(position);
            let ty = btf.read(at)?;
            if matches!(ty.kind, kind::STRUCT | kind::UNION | kind::ENUM) {
                let name = btf.string(u32_at(&btf.bytes, at)?)?;
                if !name.is_empty() && names.iter().any(|wanted| wanted.as_bytes() == name) {
                    let name = name.to_vec();
                    btf.wanted.entry(name).or_insert(id);
                }
            }
            at = ty.details + details_len(&ty).ok_or(BtfError { what: "a kind of type not known", at })?;
        }
        Ok(btf)
    }

    /// Byte offset of a member, by its path of names ("nd_net.net"); members of anonymous structs and unions count as
    /// members of the struct around them.
    #[must_use]
    pub fn offset(&self, name: &str, path: &str) -> Option<u32> {
        self.place(name, path).map(|(offset, _)| offset)
    }

    /// The same, if the member is a plain number.
    #[must_use]
    pub fn offset_of_number(&self, name: &str, path: &str) -> Option<u32> {
        let (offset, mut id) = self.place(name, path)?;
        for _ in 0..MAX_DEPTH {
            let ty = self.read(*self.types.get(id as usize)? as usize).ok()?;
            match ty.kind {
                kind::INT => return Some(offset),
                kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => {
                    id = ty.size_or_type;
                }
                _ => return None,
            }
        }
        None
    }

    /// Byte offset and type of a member.
    fn place(&self, name: &str, path: &str) -> Option<(u32, u32)> {
        let mut id = *self.wanted.get(name.as_bytes())?;
        let mut bits = 0;
        for member in path.split('.') {
            let (offset, ty) = self.member(id, member.as_bytes(), MAX_DEPTH)?;
            bits += offset;
            id = ty;
        }
        Some((bits / 8, id))
    }

    /// Size of a struct in bytes.
    #[must_use]
    pub fn size(&self, name: &str) -> Option<u32> {
        let id = *self.wanted.get(name.as_bytes())?;
        Some(self.read(*self.types.get(id as usize)? as usize).ok()?.size_or_type)
    }

    /// Value of a constant of an enum.
    #[must_use]
    pub fn constant(&self, name: &str, constant: &str) -> Option<u32> {
        let id = *self.wanted.get(name.as_bytes())?;
        let ty = self.read(*self.types.get(id as usize)? as usize).ok()?;
        if ty.kind != kind::ENUM {
            return None;
        }
        (0..ty.vlen).map(|n| ty.details + n * 8).find_map(|at| {
            let name = self.string(u32_at(&self.bytes, at).ok()?).ok()?;
            (name == constant.as_bytes()).then(|| u32_at(&self.bytes, at + 4).ok())?
        })
    }

    /// Offset in bits and type of a member.
    fn member(&self, id: u32, wanted: &[u8], depth: u32) -> Option<(u32, u32)> {
        let depth = depth.checked_sub(1)?;
        let ty = self.read(*self.types.get(id as usize)? as usize).ok()?;
        match ty.kind {
            kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => {
                return self.member(ty.size_or_type, wanted, depth);
            }
            kind::STRUCT | kind::UNION => {}
            _ => return None,
        }
        for at in (0..ty.vlen).map(|n| ty.details + n * 12) {
            let name = self.string(u32_at(&self.bytes, at).ok()?).ok()?;
            let id = u32_at(&self.bytes, at + 4).ok()?;
            let offset = u32_at(&self.bytes, at + 8).ok()?;
            let bits = if ty.kind_flag { offset & 0x00ff_ffff } else { offset };
            if name == wanted {
                return Some((bits, id));
            }
            if name.is_empty() {
                if let Some((inner, id)) = self.member(id, wanted, depth) {
                    return Some((bits + inner, id));
                }
            }
        }
        None
    }

    fn read(&self, at: usize) -> Result<Type, BtfError> {
        let info = u32_at(&self.bytes, at + 4)?;
        Ok(Type {
            kind: (info >> 24) & 0x1f,
            vlen: (info & 0xffff) as usize,
            kind_flag: info >> 31 == 1,
            size_or_type: u32_at(&self.bytes, at + 8)?,
            details: at + 12,
        })
    }

    fn string(&self, offset: u32) -> Result<&[u8], BtfError> {
        let at = self.strings + offset as usize;
        let rest = self.bytes.get(at..).ok_or(BtfError { what: "a name outside the file", at })?;
        let end =
            rest.iter().position(|&byte| byte == 0).ok_or(BtfError { what: "a name without end", at })?;
        Ok(&rest[..end])
    }
}

/// Bytes behind the head of a type; `None` for a kind that did not exist when this was written, since its length is
/// unknown.
fn details_len(ty: &Type) -> Option<usize> {
    Some(match ty.kind {
        kind::INT | kind::VAR | kind::DECL_TAG => 4,
        kind::ARRAY => 12,
        kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => ty.vlen * 12,
        kind::ENUM | kind::FUNC_PROTO => ty.vlen * 8,
        // Pointers, forward declarations, modifiers, functions, floats.
        2 | 7..=12 | 16 | kind::TYPE_TAG => 0,
        _ => return None,
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, BtfError> {
    let slice = bytes.get(at..at + 2).ok_or(BtfError { what: "the file ends", at })?;
    Ok(u16::from_ne_bytes([slice[0], slice[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, BtfError> {
    let slice = bytes.get(at..at + 4).ok_or(BtfError { what: "the file ends", at })?;
    Ok(u32::from_ne_bytes([slice[0], slice[1], slice[2], slice[3]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Builds BTF by hand: types as words, and the strings.
    fn btf(types: &[u32], strings: &[u8]) -> Vec<u8> {
        let types: Vec<u8> = types.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let mut out = Vec::new();
        out.extend(MAGIC.to_ne_bytes());
        out.extend([1, 0]);
        for word in [24, 0, types.len(), types.len(), strings.len()] {
            out.extend(u32::try_from(word).unwrap().to_ne_bytes());
        }
        out.extend(types);
        out.extend(strings);
        out
    }

    const STRUCT: u32 = kind::STRUCT << 24;
    const INT: u32 = kind::INT << 24;

    #[test]
    fn members_of_anonymous_structs_are_found() {
        // struct s { int a; struct { int b; }; }: ids 1 int, 2 anonymous, 3 s
        let bytes = btf(
            &[
                1,
                INT,
                4,
                0x20, //
                0,
                STRUCT | 1,
                4,
                7,
                1,
                0, //
                5,
                STRUCT | 2,
                8,
                9,
                1,
                0,
                0,
                2,
                32,
            ],
            b"\0int\0s\0b\0a\0",
        );
        let btf = Btf::parse(bytes, &["s"]).unwrap();
        assert_eq!(btf.offset("s", "a"), Some(0));
        assert_eq!(btf.offset("s", "b"), Some(4));
        assert_eq!(btf.offset("s", "c"), None);
        assert_eq!(btf.offset("t", "a"), None);
        assert_eq!(btf.size("s"), Some(8));
        assert_eq!(btf.offset_of_number("s", "b"), Some(4));
        assert_eq!(btf.offset_of_number("s", ""), None, "a struct is no number");
    }

    #[test]
    fn a_struct_that_holds_itself_ends() {
        // struct s { s; }: not C, but bytes can say it
        let bytes = btf(&[1, STRUCT | 1, 4, 0, 1, 0], b"\0s\0");
        assert_eq!(Btf::parse(bytes, &["s"]).unwrap().offset("s", "x"), None);
    }

    #[test]
    fn cut_and_foreign_bytes_are_errors() {
        let whole = btf(&[1, INT, 4, 0x20, 5, STRUCT | 1, 4, 7, 1, 0], b"\0int\0s\0b\0");
        for len in 0..whole.len() {
            // What matters is that nothing panics and the names outside are noticed.
            let _ = Btf::parse(whole[..len].to_vec(), &["s"]).map(|btf| btf.offset("s", "b"));
        }
        assert!(Btf::parse(b"ELF".to_vec(), &[]).is_err());
        let unknown = btf(&[0, 31 << 24, 0], b"\0");
        assert_eq!(Btf::parse(unknown, &[]).err().map(|error| error.what), Some("a kind of type not known"));
    }
}
