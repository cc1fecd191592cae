//! Sentences as values: our own words, and the names, numbers and commands among them as parts of their types.
//!
//! Whoever shows or compares a sentence looks at its parts; nobody reads its words.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    slice,
};

use serde::{Serialize, Serializer};

use crate::text::Text;

/// A sentence, or a piece of one. `Display` and JSON give its text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sentence(Vec<Part>);

/// A part of a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Our own words.
    Words(Cow<'static, str>),
    /// "ip (PID 812)", or "ip (PID 812: ip link del macvlan0)" if the command says more than the name.
    Process {
        /// Its name.
        comm: Text,
        /// Its id.
        pid: u32,
        /// Its command line.
        command: Option<String>,
    },
    /// The link that the sentence is about, by a name that it has or had.
    Link(Text),
    /// Another device: its parent, a port, a rival.
    Device(Text),
    /// "container web".
    Container(String),
    /// Any other name that is not our own: a unit, a terminal, a signal, what the kernel says.
    Name(String),
    /// An IP address, or a hardware address.
    Address(String),
    /// A number that tells no two stories apart: a count, the id of a thread.
    Number(u64),
    /// How long something took.
    Period(Period),
    /// A command or a setting to paste, between backticks.
    Code(Cow<'static, str>),
}

impl Part {
    /// [`Part::Link`].
    #[must_use]
    pub fn link(name: &Text) -> Self {
        Self::Link(name.clone())
    }

    /// [`Part::Device`].
    #[must_use]
    pub fn device(name: &Text) -> Self {
        Self::Device(name.clone())
    }

    /// [`Part::Name`].
    #[must_use]
    pub fn name(name: &impl ToString) -> Self {
        Self::Name(name.to_string())
    }
}

/// Nanoseconds, in words: "less than 1 ms", "12 ms", "3.2 s", "5 min", "30 h".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Period(pub u64);

/// A sentence from a template and what fills each `{}` of it. The template is a literal of our own words, in which code
/// to paste stands between backticks.
macro_rules! sentence {
    ($template:literal $(, $filling:expr)* $(,)?) => {{
        const PIECES: [&str; 1 $(+ $crate::sentence::sentence!(@one $filling))*] =
            $crate::sentence::pieces($template);
        $crate::sentence::Draft::new(&PIECES)$(.fill($filling))*.sentence()
    }};
    (@one $filling:expr) => {
        1
    };
}

pub(crate) use sentence;

/// The words of a template around its holes.
///
/// # Panics
///
/// If the template has another number of holes, or a backtick without its other one. `sentence!` calls this for a
/// constant, so it does not compile then.
#[must_use]
pub const fn pieces<const N: usize>(template: &'static str) -> [&'static str; N] {
    let mut pieces = [""; N];
    let (mut rest, mut count, mut at, mut in_code) = (template, 0, 0, false);
    while at < rest.len() {
        let byte = rest.as_bytes()[at];
        if byte == b'{' {
            assert!(at + 1 < rest.len() && rest.as_bytes()[at + 1] == b'}', "a brace that is no hole");
            assert!(count + 1 < N, "a hole is not filled");
            let (piece, after) = rest.split_at(at);
            (pieces[count], count, rest, at) = (piece, count + 1, after.split_at(2).1, 0);
        } else {
            in_code ^= byte == b'`';
            at += 1;
        }
    }
    assert!(count + 1 == N, "there are more fillings than holes");
    assert!(!in_code, "a backtick has no other one");
    pieces[count] = rest;
    pieces
}

/// A template whose holes are being filled.
#[derive(Debug)]
pub struct Draft {
    sentence: Sentence,
    /// The words after each hole that is left.
    pieces: slice::Iter<'static, &'static str>,
    /// Whether the last part is code that goes on.
    in_code: bool,
}

impl Draft {
    /// One of these words, with a hole between each two of them.
    #[must_use]
    pub fn new(pieces: &'static [&'static str]) -> Self {
        let sentence = Sentence(Vec::with_capacity(2 * pieces.len()));
        let mut draft = Self { sentence, pieces: pieces.iter(), in_code: false };
        draft.go_on();
        draft
    }

    /// Fills the next hole; in code, with the text alone.
    #[must_use]
    pub fn fill(mut self, filling: impl Fill) -> Self {
        match self.sentence.0.last_mut() {
            Some(Part::Code(code)) if self.in_code => {
                let mut text = Sentence::default();
                filling.fill(&mut text);
                let _ = write!(code.to_mut(), "{text}");
            }
            _ => filling.fill(&mut self.sentence),
        }
        self.go_on();
        self
    }

    /// The sentence.
    #[must_use]
    pub fn sentence(self) -> Sentence {
        self.sentence
    }

    /// Adds the words up to the next hole.
    fn go_on(&mut self) {
        if let Some(words) = self.pieces.next() {
            self.in_code = self.sentence.add_words(words, self.in_code);
        }
    }
}

/// What fills a hole of a template. A `String` is a name, and a `&'static str` our own words.
pub trait Fill {
    /// Adds its parts.
    fn fill(self, sentence: &mut Sentence);
}

impl Fill for Part {
    fn fill(self, sentence: &mut Sentence) {
        sentence.0.push(self);
    }
}

impl Fill for Sentence {
    fn fill(self, sentence: &mut Sentence) {
        sentence.0.extend(self.0);
    }
}

impl Fill for &'static str {
    fn fill(self, sentence: &mut Sentence) {
        sentence.add_words(self, false);
    }
}

impl Fill for String {
    fn fill(self, sentence: &mut Sentence) {
        Part::Name(self).fill(sentence);
    }
}

impl Fill for Period {
    fn fill(self, sentence: &mut Sentence) {
        Part::Period(self).fill(sentence);
    }
}

impl<T: Fill> Fill for Option<T> {
    fn fill(self, sentence: &mut Sentence) {
        if let Some(filling) = self {
            filling.fill(sentence);
        }
    }
}

impl From<Part> for Sentence {
    fn from(part: Part) -> Self {
        Self(vec![part])
    }
}

impl From<&'static str> for Sentence {
    fn from(words: &'static str) -> Self {
        let mut sentence = Self::default();
        words.fill(&mut sentence);
        sentence
    }
}

impl From<String> for Sentence {
    fn from(name: String) -> Self {
        Part::Name(name).into()
    }
}

impl Sentence {
    /// Several in a row, with words between them.
    #[must_use]
    pub fn joined<T: Fill>(items: impl IntoIterator<Item = T>, between: &'static str) -> Self {
        let mut joined = Self::default();
        for item in items {
            if !joined.0.is_empty() {
                between.fill(&mut joined);
            }
            item.fill(&mut joined);
        }
        joined
    }

    /// Its parts, in order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// With a capital at the beginning, if it begins with our own words: a name stays as it is.
    #[must_use]
    pub fn capital(mut self) -> Self {
        if let Some(Part::Words(words)) = self.0.first_mut() {
            if let Some(first) = words.to_mut().get_mut(..1) {
                first.make_ascii_uppercase();
            }
        }
        self
    }

    /// With its full stop.
    #[must_use]
    pub fn full_stop(mut self) -> Self {
        self.0.push(Part::Words(Cow::Borrowed(".")));
        self
    }

    /// Adds our own words, and the code between their backticks. Takes and returns whether code goes on at the end.
    fn add_words(&mut self, words: &'static str, mut in_code: bool) -> bool {
        for (number, words) in words.split('`').enumerate() {
            if number > 0 {
                in_code = !in_code;
                self.0.extend(in_code.then_some(Part::Code(Cow::Borrowed(""))));
            }
            match self.0.last_mut() {
                Some(Part::Code(code)) if in_code => *code += words,
                _ if words.is_empty() => {}
                _ => self.0.push(Part::Words(Cow::Borrowed(words))),
            }
        }
        in_code
    }

    /// Whether another one says the same about another link or of another time: links, addresses, process ids, numbers
    /// and periods may differ.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let alike = |(one, other): (&Part, &Part)| match (one, other) {
            (Part::Link(_), Part::Link(_))
            | (Part::Address(_), Part::Address(_))
            | (Part::Number(_), Part::Number(_))
            | (Part::Period(_), Part::Period(_)) => true,
            (Part::Process { comm: one, .. }, Part::Process { comm: other, .. }) => one == other,
            _ => one == other,
        };
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(alike)
    }
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| part.fmt(f))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(words) => f.write_str(words),
            Self::Process { comm, pid, command: None } => write!(f, "{comm} (PID {pid})"),
            Self::Process { comm, pid, command: Some(command) } => write!(f, "{comm} (PID {pid}: {command})"),
            Self::Link(name) | Self::Device(name) => name.fmt(f),
            Self::Container(name) => write!(f, "container {name}"),
            Self::Name(text) | Self::Address(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
            Self::Period(period) => period.fmt(f),
            Self::Code(code) => write!(f, "`{code}`"),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(ns) = *self;
        let (tenths, minutes) = (ns / 100_000_000, ns / 60_000_000_000);
        match ns {
            0..1_000_000 => f.write_str("less than 1 ms"),
            1_000_000..1_000_000_000 => write!(f, "{} ms", ns / 1_000_000),
            1_000_000_000..100_000_000_000 => write!(f, "{}.{} s", tenths / 10, tenths % 10),
            _ if minutes < 120 => write!(f, "{minutes} min"),
            _ => write!(f, "{} h", minutes / 60),
        }
    }
}

impl Serialize for Sentence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    fn process(comm: &str, pid: u32) -> Part {
        Part::Process { comm: comm.into(), pid, command: None }
    }

    fn link(name: &str) -> Part {
        Part::Link(name.into())
    }

    #[test]
    fn a_template_keeps_the_parts_that_fill_it() {
        let ended = sentence!("the main process {} of {}", process("sh", 812), Part::Container("web".into()));
        let said =
            sentence!("{} sent {} to {}{}", process("ip", 9), "SIGTERM".to_owned(), ended, None::<Part>);
        assert_eq!(
            said.to_string(),
            "ip (PID 9) sent SIGTERM to the main process sh (PID 812) of container web"
        );
        assert_eq!(said.parts()[4..6], [Part::Words("the main process ".into()), process("sh", 812)]);
    }

    #[test]
    fn a_template_that_its_fillings_do_not_fit_does_not_compile() {
        // What panics in a constant is an error of the compiler's.
        let fits = [
            catch_unwind(|| pieces::<2>("`a {}`").len()),
            catch_unwind(|| pieces::<2>("{} {}").len()),
            catch_unwind(|| pieces::<2>("a").len()),
            catch_unwind(|| pieces::<2>("{name}").len()),
            catch_unwind(|| pieces::<2>("`a {}").len()),
        ];
        assert_eq!(fits.map(|fits| fits.is_ok()), [true, false, false, false, false]);
    }

    #[test]
    fn what_stands_between_backticks_is_code_with_what_fills_it() {
        let said = sentence!("see `ip link show {}`{} or `dmesg`", link("eth0"), " and `lsmod`");
        assert_eq!(said.to_string(), "see `ip link show eth0` and `lsmod` or `dmesg`");
        let code: Vec<_> = said
            .parts()
            .iter()
            .filter_map(|part| if let Part::Code(code) = part { Some(&**code) } else { None })
            .collect();
        assert_eq!(code, ["ip link show eth0", "lsmod", "dmesg"]);
        assert!(said.parts().iter().all(|part| !matches!(part, Part::Link(_))));
    }

    #[test]
    fn what_a_name_contains_is_no_code_and_no_hole() {
        let said = sentence!("{} ended `a {}`", "{} `b`".to_owned(), "{}".to_owned());
        assert_eq!(said.to_string(), "{} `b` ended `a {}`");
        assert_eq!(said.parts().len(), 3, "{said:?}");
    }

    #[test]
    fn only_our_own_words_get_a_capital() {
        assert_eq!(sentence!("the end of {}", link("eth0")).capital().to_string(), "The end of eth0");
        for first in [process("the boss", 1), link("the"), Part::Code("ip".into()), Part::Name("the".into())]
        {
            let text = first.to_string();
            assert_eq!(Sentence::from(first).capital().to_string(), text);
        }
        assert_eq!(sentence!("").capital().full_stop().to_string(), ".");
    }

    #[test]
    fn a_sentence_is_like_that_of_another_link_at_another_time() {
        let said = |comm, pid, name, ns| {
            sentence!("{} ended, {} after {} came up", process(comm, pid), Period(ns), link(name))
        };
        let first = said("sh", 812, "eth0", 5);
        assert!(first.is_like(&said("sh", 900, "the", 300_000_000_000)));
        assert!(!first.is_like(&said("dd", 812, "eth0", 5)));
    }

    #[test]
    fn a_name_that_reads_like_a_number_or_like_english_is_a_name() {
        let by = |by| sentence!("{} set {} down, {} after it came up", by, link("eth0"), Period(5));
        let names = ["12", "ms", "less", "than", "eth0", "s"];
        for (number, comm) in names.into_iter().enumerate() {
            for other in &names[number + 1..] {
                assert!(!by(process(comm, 1)).is_like(&by(process(other, 1))), "{comm} and {other}");
            }
            let device =
                |name: &str| sentence!("the parent {} of {}", Part::Device(name.into()), link("eth0"));
            assert!(!device(comm).is_like(&device("eth1")), "{comm}");
        }
    }

    #[test]
    fn a_link_that_is_called_like_its_parent_is_not_taken_for_it() {
        let of = |parent: &str, name| sentence!("{} of {}", Part::Device(parent.into()), link(name));
        assert!(of("eth0", "eth0").is_like(&of("eth0", "macvlan1")));
        assert!(!of("eth0", "eth0").is_like(&of("eth1", "eth0")));
    }

    #[test]
    fn several_stand_in_a_row() {
        let of = |names: &[&str]| Sentence::joined(names.iter().map(|name| link(name)), ", ").to_string();
        assert_eq!([of(&[]), of(&["a"]), of(&["a", "b"])], ["", "a", "a, b"]);
    }

    #[test]
    fn a_period_is_as_exact_as_it_is_of_use() {
        for (ns, words) in [
            (0, "less than 1 ms"),
            (12_999_999, "12 ms"),
            (3_290_000_000, "3.2 s"),
            (100_000_000_000, "1 min"),
            (7_199_000_000_000, "119 min"),
            (7_200_000_000_000, "2 h"),
        ] {
            assert_eq!(Period(ns).to_string(), words);
        }
    }

    #[test]
    fn json_has_the_text() {
        let said = sentence!("{} says \u{201c}{}\u{201d}", link("a\"b"), "c\\d\n".to_owned());
        assert_eq!(serde_json::to_string(&said).unwrap(), serde_json::to_string(&said.to_string()).unwrap());
    }
}
