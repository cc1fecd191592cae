//! Which mirror of Debian this machine uses: what its administrator chose is near and reachable.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// Where Debian's packages come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The archive proper.
    pub main: String,
    /// The security archive, where there is one.
    pub security: Option<String>,
}

impl Mirror {
    /// The mirror that the user names; by custom the security archive lies beside it.
    pub fn named(url: &str) -> Self {
        let main = url.trim_end_matches('/').to_owned();
        let security = main.strip_suffix("/debian").map(|parent| format!("{parent}/debian-security"));
        Self { main, security }
    }

    /// The mirror in this machine's apt sources.
    pub fn of_this_machine() -> Result<Self> {
        Self::choose(&read_sources(Path::new("/etc/apt")))
    }

    fn choose(sources: &[Source]) -> Result<Self> {
        let find = |wanted: fn(&str) -> bool| {
            sources.iter().find(|source| source.suites.iter().any(|suite| wanted(suite)))
        };
        let Some(main) = find(is_debian_suite) else {
            bail!(
                "this machine's apt sources name no Debian archive, and the kernels come from there: say which \
                 mirror to use with --mirror URL (the directory that holds dists/ and pool/)"
            );
        };
        let security = find(is_debian_security_suite).map(|source| source.uri.clone());
        Ok(Self { main: main.uri.clone(), security })
    }
}

/// One archive as apt's sources describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    uri: String,
    suites: Vec<String>,
}

fn is_debian_suite(suite: &str) -> bool {
    const SUITES: [&str; 10] = [
        "bullseye",
        "bookworm",
        "trixie",
        "forky",
        "sid",
        "oldoldstable",
        "oldstable",
        "stable",
        "testing",
        "unstable",
    ];
    SUITES.contains(&suite)
}

fn is_debian_security_suite(suite: &str) -> bool {
    suite.strip_suffix("-security").is_some_and(is_debian_suite)
}

/// Reads sources.list and sources.list.d. Files that cannot be read count as empty.
fn read_sources(apt: &Path) -> Vec<Source> {
    let mut files: Vec<PathBuf> = fs::read_dir(apt.join("sources.list.d"))
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    files.push(apt.join("sources.list"));
    files.sort();
    files
        .iter()
        .filter_map(|file| {
            let text = fs::read_to_string(file).ok()?;
            match file.extension()?.to_str()? {
                "sources" => Some(parse_deb822(&text)),
                "list" => Some(parse_one_line(&text)),
                _ => None,
            }
        })
        .flatten()
        .collect()
}

/// The one-line style: `deb [options] URI SUITE COMPONENT…`.
fn parse_one_line(text: &str) -> Vec<Source> {
    let parse = |line: &str| {
        let rest = line.trim().strip_prefix("deb")?;
        if !rest.starts_with([' ', '\t', '[']) {
            return None;
        }
        let rest = match rest.trim_start().strip_prefix('[') {
            Some(options) => options.split_once(']')?.1,
            None => rest,
        };
        let mut words = rest.split_whitespace();
        Some(Source { uri: normal(words.next()?), suites: vec![words.next()?.to_owned()] })
    };
    text.lines().filter_map(parse).collect()
}

/// The stanza style: fields in any order, lists separated by white space, values continued on indented lines.
fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    for stanza in lines.split(|line| line.trim().is_empty()) {
        let values = |name| field(stanza, name);
        if values("Types").contains(&"deb") && values("Enabled") != ["no"] {
            let suites: Vec<String> = values("Suites").into_iter().map(str::to_owned).collect();
            let uris = values("URIs").into_iter().map(normal);
            sources.extend(uris.map(|uri| Source { uri, suites: suites.clone() }));
        }
    }
    sources
}

/// The words of one field of a stanza.
fn field<'a>(stanza: &[&'a str], name: &str) -> Vec<&'a str> {
    let mut words = Vec::new();
    let mut inside = false;
    for line in stanza {
        let value = if line.starts_with([' ', '\t']) {
            Some(*line)
        } else {
            let (key, value) = line.split_once(':').unwrap_or((line, ""));
            inside = key.trim().eq_ignore_ascii_case(name);
            Some(value)
        };
        if let (true, Some(value)) = (inside, value) {
            words.extend(value.split_whitespace());
        }
    }
    words
}

fn normal(uri: &str) -> String {
    uri.trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(uri: &str, suites: &[&str]) -> Source {
        Source { uri: uri.into(), suites: suites.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn stanzas_are_read_with_comments_continuations_and_disabled_ones() {
        let text = "Types: deb deb-src\n# a comment inside\nURIs: http://mirror.example/debian/\n\
                    Suites: bookworm\n bookworm-updates\nComponents: main\n\n\
                    Types: deb\nURIs: http://other.example/x\nSuites: stable\nEnabled: no\n\n\
                    Types: deb-src\nURIs: http://sources.example\nSuites: sid\n";
        assert_eq!(
            parse_deb822(text),
            [source("http://mirror.example/debian", &["bookworm", "bookworm-updates"])]
        );
    }

    #[test]
    fn one_line_entries_are_read_with_and_without_options() {
        let text = "# deb http://commented.example sid main\n\
                    deb http://mirror.example/debian bookworm main contrib\n\
                    deb [arch=amd64 signed-by=/some/key.gpg] https://mirror.example/security bookworm-security main\n\
                    deb-src http://mirror.example/debian bookworm main\n";
        assert_eq!(
            parse_one_line(text),
            [
                source("http://mirror.example/debian", &["bookworm"]),
                source("https://mirror.example/security", &["bookworm-security"]),
            ]
        );
    }

    #[test]
    fn debians_entries_are_chosen_among_other_vendors() {
        let sources = [
            source("https://vendor.example/apt", &["vendor-bookworm"]),
            source("http://mirror.example/debian-security", &["bookworm-security"]),
            source("http://mirror.example/debian", &["bookworm", "bookworm-updates"]),
        ];
        let mirror = Mirror::choose(&sources).expect("there is one");
        assert_eq!(mirror.main, "http://mirror.example/debian");
        assert_eq!(mirror.security.as_deref(), Some("http://mirror.example/debian-security"));
    }

    #[test]
    fn a_machine_without_debians_archive_is_told_of_the_option() {
        let error =
            Mirror::choose(&[source("http://archive.example/ubuntu", &["noble"])]).expect_err("not Debian");
        assert!(error.to_string().contains("--mirror"), "{error}");
    }

    #[test]
    fn a_named_mirror_brings_its_security_archive_along() {
        let mirror = Mirror::named("http://mirror.example/debian/");
        assert_eq!(mirror.main, "http://mirror.example/debian");
        assert_eq!(mirror.security.as_deref(), Some("http://mirror.example/debian-security"));
        assert_eq!(Mirror::named("http://mirror.example/copy").security, None);
    }
}
