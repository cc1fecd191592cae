use std::{
    fs,
    io::{self, Read as _},
    path::Path,
};

use clap::Parser as _;

use super::*;
use crate::{
    cli::{Cli, Verb},
    record::{Recorder, Rotation},
    testing::story::{Shared, Story, macvlan, netns, path, process},
};

/// A run with three incidents.
fn story() -> Vec<Fact> {
    let (ip, link) = (process("ip", 901), macvlan("macvlan0", netns(1), 7));
    let shell = crate::testing::story::init("sh", 812);
    let mut story = Story::new();
    story.named(netns(1), "blue").fact(What::Watching(crate::fact::Watching::default()));
    story.creates(&ip, &link).sets_up(&ip, &link).wait_ms(1000).sets_down(&ip, &link).sets_up(&ip, &link);
    story.wait_ms(60_000).exits(&shell, netns(1), 3).drops(&shell, netns(1), path::EXIT).is_torn_down(&link);
    story.fact(What::End);
    story.into_stream().collect()
}

/// A shorter one.
fn short_story() -> Vec<Fact> {
    let (ip, link) = (process("ip", 901), macvlan("macvlan0", netns(1), 7));
    let mut story = Story::new();
    story.fact(What::Watching(crate::fact::Watching::default())).creates(&ip, &link).sets_down(&ip, &link);
    story.fact(What::End);
    story.into_stream().collect()
}

fn record(path: &Path, rotation: Option<Rotation>, facts: &[Fact]) {
    let mut recorder = Recorder::create(path, rotation).unwrap();
    for fact in facts {
        recorder.take(fact).unwrap();
        recorder.flush().unwrap();
    }
}

/// What a live run prints.
fn live(facts: &[Fact], args: &[&str]) -> String {
    let cli = Cli::try_parse_from([&["macvlan-trace"], args].concat()).unwrap();
    let out = Shared::default();
    let format = screen::format(cli.view.output, screen::look(false, false));
    let mut pipeline = Pipeline::new(cli.view.view(Vec::new()), Direct::new(format, out.clone()));
    for fact in facts {
        pipeline.take(fact.clone()).unwrap();
    }
    out.text()
}

/// What a replay prints, or why it does not.
fn replayed(files: &[&Path], args: &[&str]) -> Result<String> {
    let mut line = vec!["macvlan-trace".into(), "replay".into()];
    line.extend(files.iter().map(|file| file.as_os_str().to_owned()));
    line.extend(args.iter().map(Into::into));
    let Some(Verb::Replay(args)) = Cli::try_parse_from(line)?.verb else { panic!("a replay") };
    let mut out = Vec::new();
    run(&args, &mut out, &mut io::sink())?;
    Ok(String::from_utf8(out)?)
}

#[test]
fn a_replay_prints_what_the_live_run_with_the_same_view_printed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("r.rec");
    record(&file, None, &story());
    for args in
        [&["-o", "json", "-e", "all"][..], &["-o", "json"], &["-e", "all"], &[], &["-c", "1", "-o", "json"]]
    {
        assert_eq!(replayed(&[&file], args).unwrap(), live(&story(), args), "{args:?}");
    }
}

#[test]
fn segments_in_any_order_gzipped_or_not_tell_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("r.rec");
    let mut facts = story();
    let end = facts.pop().unwrap();
    let (ip, link) = (process("ip", 901), macvlan("macvlan9", netns(1), 9));
    let mut more = Story::new();
    more.wait_ms(100_000);
    for _ in 0..400 {
        more.sets_up(&ip, &link).sets_down(&ip, &link);
    }
    facts.extend(more.into_facts());
    facts.push(Fact { at: facts.last().unwrap().at, ..end });
    record(&base, Some(Rotation { size: 64 << 10, files: None }), &facts);
    let mut files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_none_or(|extension| extension != "part"));
    files.sort();
    assert!(files.len() > 3);
    let args = ["-o", "json", "-e", "all"];
    let wanted = live(&facts, &args);
    let mut order: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    assert_eq!(replayed(&order, &args).unwrap(), wanted);
    order.reverse();
    assert_eq!(replayed(&order, &args).unwrap(), wanted);
    // Without the first, what it told is known as far as the second repeats it.
    order.pop();
    let rest = replayed(&order, &args).unwrap();
    let last = rest.lines().rev().nth(1).unwrap();
    assert!(last.contains(r#""name":"macvlan9""#) && last.contains(r#""comm":"ip""#), "{last}");
    assert!(rest.starts_with(r#"{"schema_version":1,"type":"run""#), "{rest}");
}

#[test]
fn a_record_cut_at_any_byte_loses_the_torn_line_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let (file, cut) = (folder.path().join("r.rec"), folder.path().join("cut.rec"));
    record(&file, None, &short_story());
    let whole = fs::read(&file).unwrap();
    let args = ["-o", "json", "-e", "all"];
    for at in 0..whole.len() {
        fs::write(&cut, &whole[..at]).unwrap();
        let lines = whole[..at].split(|&byte| byte == b'\n').count() - 1;
        let is_whole_line = whole.get(at) == Some(&b'\n');
        match replayed(&[&cut], &args) {
            Ok(told) => {
                let facts = lines + usize::from(is_whole_line) - 1;
                let mut stream = short_story()[..facts.max(1)].to_vec();
                if !(at == 0 || is_whole_line || whole[at - 1] == b'\n') {
                    stream.push(Fact { at: last_of(&stream), what: What::Lost { records: 1 } });
                }
                if !matches!(stream.last().unwrap().what, What::End) {
                    stream.push(Fact { at: last_of(&stream), what: What::End });
                }
                assert_eq!(told, live(&stream, &args), "{at}");
            }
            Err(error) => {
                assert_eq!(lines + usize::from(is_whole_line), 0, "{error} at {at}");
                assert!(error.to_string().contains("is no record of macvlan-trace"), "{error}");
            }
        }
    }
}

fn last_of(stream: &[Fact]) -> Ktime {
    stream.iter().map(|fact| fact.at).max().unwrap()
}

#[test]
fn a_flipped_byte_anywhere_costs_its_line_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let (file, flipped) = (folder.path().join("r.rec"), folder.path().join("flipped.rec"));
    record(&file, None, &short_story());
    let whole = fs::read(&file).unwrap();
    let args = ["-o", "json", "-e", "all"];
    let events = |told: &str| told.lines().filter(|line| line.contains(r#""type":"event""#)).count();
    let all = events(&live(&short_story(), &args));
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&flipped, &bytes).unwrap();
        let told = replayed(&[&flipped], &args).unwrap_or_else(|error| panic!("{error} at {at}"));
        assert!(events(&told) + 1 >= all, "{at}: {told}");
        assert!(told.contains(r#""type":"run""#) || told.contains(r#""type":"lost""#), "{at}: {told}");
        assert!(told.lines().last().unwrap().contains(r#""type":"summary""#), "{at}: {told}");
    }
}

#[test]
fn what_is_no_record_or_a_later_versions_is_refused_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    for content in [&b""[..], b"\n", b"hello\n", b"{\"at\":1}\n", b"\x1f\x8bnot gzip", &[0; 5000]] {
        fs::write(&file, content).unwrap();
        let error = replayed(&[&file], &[]).unwrap_err().to_string();
        assert!(
            error.ends_with("is no record of macvlan-trace; `macvlan-trace -w FILE` makes one"),
            "{error}"
        );
    }
    record(&folder.path().join("r.rec"), None, &story());
    let text = fs::read_to_string(folder.path().join("r.rec")).unwrap();
    let (first, rest) = text.split_once('\n').unwrap();
    let later = first[18..].replacen("\"format\":1", "\"format\":2", 1);
    let crc = crc32fast::hash(later.as_bytes());
    fs::write(&file, format!("{{\"crc\":\"{crc:08x}\",{later}\n{rest}")).unwrap();
    let error = replayed(&[&file], &[]).unwrap_err().to_string();
    assert!(error.ends_with("in format 2, and this version reads 1: use a newer macvlan-trace"), "{error}");
    let error = replayed(&[Path::new("/nowhere")], &[]).unwrap_err();
    assert!(format!("{error:#}").starts_with("cannot open /nowhere: No such file"), "{error:#}");
}

#[test]
fn a_time_narrows_what_is_shown_and_not_what_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("r.rec");
    record(&file, None, &story());
    // The story begins 90 s after the epoch, and its container ends a minute later.
    let told = replayed(&[&file], &["-o", "json", "-e", "all", "--since", "1970-01-01T00:02:00Z"]).unwrap();
    let events: Vec<_> = told.lines().filter(|line| line.contains(r#""type":"event""#)).collect();
    assert_eq!(events.len(), 1, "{told}");
    assert!(events[0].contains("container-exited") && events[0].contains(r#""seq":5"#), "{told}");
    let told = replayed(&[&file], &["-o", "json", "--at", "1970-01-01T00:01:31Z", "--around", "5s"]).unwrap();
    assert_eq!(told.lines().filter(|line| line.contains(r#""seq":3,"#)).count(), 1, "{told}");
}

#[test]
fn a_record_knows_no_path_of_a_namespace() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("r.rec");
    record(&file, None, &story());
    let error = replayed(&[&file], &["--netns", "/proc/1/ns/net"]).unwrap_err().to_string();
    assert!(error.contains("a record knows namespaces by name and inode number"), "{error}");
    let by_name = replayed(&[&file], &["-o", "json", "--netns", "blue"]).unwrap();
    assert!(by_name.contains(r#""event":"deleted""#), "{by_name}");
}

#[test]
fn a_small_record_tells_what_was_shown_with_the_same_verdicts() {
    let folder = tempfile::tempdir().unwrap();
    let (file, small) = (folder.path().join("r.rec"), folder.path().join("small.rec"));
    let mut facts = story();
    let end = facts.pop().unwrap();
    let mut others = Story::new();
    others.wait_ms(100_000);
    for ifindex in 100..200 {
        let link = macvlan(&format!("other{ifindex}"), netns(ifindex), ifindex);
        let shell = crate::testing::story::init("sh", 2000 + ifindex);
        let link = crate::testing::story::Macvlan { parent: None, ..link };
        others.creates(&process("ip", 3000 + ifindex), &link).exits(&shell, netns(ifindex), 0);
        others.drops(&shell, netns(ifindex), path::EXIT).is_torn_down(&link);
    }
    facts.extend(others.into_facts());
    facts.push(Fact { at: facts.last().unwrap().at, ..end });
    record(&file, None, &facts);
    let view = ["-o", "json", "-i", "macvlan0"];
    let told = replayed(&[&file], &[&view[..], &["-w", small.to_str().unwrap()]].concat()).unwrap();
    let events = |told: &str| -> Vec<(serde_json::Value, serde_json::Value)> {
        let records = told.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let events = records.filter(|record| record["type"] == "event");
        events.map(|event| (event["verdict"].clone(), event["culprit"].clone())).collect()
    };
    assert_eq!(events(&told).len(), 2, "{told}");
    assert_eq!(events(&replayed(&[&small], &view).unwrap()), events(&told));
    let size = |path: &Path| fs::metadata(path).unwrap().len();
    assert!(size(&small) * 5 < size(&file), "{} of {}", size(&small), size(&file));
}

/// A long run in segments of a record, in order.
fn segments_of(folder: &Path, facts: &[Fact]) -> Vec<PathBuf> {
    record(&folder.join("r.rec"), Some(Rotation { size: 64 << 10, files: None }), facts);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_none_or(|extension| extension != "part"));
    files.sort();
    assert!(files.len() > 2, "{files:?}");
    files
}

/// A run of several segments, during which somebody sets the clock.
fn long_story() -> Vec<Fact> {
    let (ip, link) = (process("ip", 901), macvlan("macvlan9", netns(1), 9));
    let mut story = Story::new();
    story.fact(What::Watching(crate::fact::Watching::default()));
    for round in 0..400 {
        story.sets_up(&ip, &link).sets_down(&ip, &link);
        if round == 10 {
            story.fact(What::Clock { boot: 3_600_000_000_000 });
        }
    }
    story.fact(What::End);
    story.into_stream().collect()
}

#[test]
fn a_clock_that_was_set_does_not_tear_the_segments_apart() {
    let folder = tempfile::tempdir().unwrap();
    let files = segments_of(folder.path(), &long_story());
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let args = ["-o", "json", "-e", "all"];
    assert_eq!(replayed(&files, &args).unwrap(), live(&long_story(), &args));
}

#[test]
fn a_damaged_header_of_a_later_segment_costs_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let files = segments_of(folder.path(), &long_story());
    let mut lines = Vec::new();
    let file = if files[1].extension().is_some_and(|extension| extension == "gz") {
        flate2::read::MultiGzDecoder::new(fs::File::open(&files[1]).unwrap())
            .read_to_end(&mut lines)
            .unwrap();
        fs::remove_file(&files[1]).unwrap();
        files[1].with_extension("")
    } else {
        lines = fs::read(&files[1]).unwrap();
        files[1].clone()
    };
    lines[30] ^= 1;
    fs::write(&file, lines).unwrap();
    let files = [&files[0], &file].into_iter().chain(&files[2..]);
    let args = ["-o", "json"];
    let told = replayed(&files.map(PathBuf::as_path).collect::<Vec<_>>(), &args).unwrap();
    let events = |told: &str| told.lines().filter(|line| line.contains(r#""type":"event""#)).count();
    assert_eq!(events(&told), events(&live(&long_story(), &args)));
    assert_eq!(told.matches(r#""type":"lost""#).count(), 1, "of the line");
    assert_eq!(told.matches(r#""type":"summary""#).count(), 1);
}

#[test]
fn segments_that_are_gone_are_a_loss() {
    let folder = tempfile::tempdir().unwrap();
    let files = segments_of(folder.path(), &long_story());
    let files: Vec<&Path> = files[1..].iter().map(PathBuf::as_path).collect();
    let mut notes = Vec::new();
    let mut lost = 0;
    let files: Vec<_> = files.into_iter().map(Path::to_owned).collect();
    for run in in_order(&files).unwrap() {
        let reading = for_each_fact(&run, &mut notes, &mut |fact| {
            lost += u32::from(matches!(fact.what, What::Lost { .. }));
            Ok(())
        });
        assert_eq!(reading.unwrap().missing, 1);
    }
    assert_eq!(lost, 1);
    let notes = String::from_utf8(notes).unwrap();
    assert!(notes.contains("1 segment before it is not there") && notes.lines().count() == 1, "{notes}");
}

#[test]
fn what_cannot_be_told_as_one_run_is_refused_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let [one, copy, both, small] = ["one", "copy", "both", "small"].map(|name| folder.path().join(name));
    record(&one, None, &story());
    fs::copy(&one, &copy).unwrap();
    let mut other = short_story();
    other[0].at = Ktime(77);
    record(&both, None, &other);
    let two = [fs::read(&one).unwrap(), fs::read(&both).unwrap()].concat();
    fs::write(&both, two).unwrap();
    let refused = |files: &[&Path], args: &[&str]| replayed(files, args).unwrap_err().to_string();
    assert!(refused(&[&both], &[]).ends_with("holds more than one run: give each a file of its own"));
    assert!(refused(&[&one, &copy], &[]).ends_with("are the same part of one run: name one of them"));
    let one_text = one.to_str().unwrap();
    assert!(refused(&[&one], &["-w", one_text]).ends_with("is what is replayed: name another file for -w"));
    assert!(
        refused(&[Path::new("/dev/null")], &["-w", small.to_str().unwrap()])
            .starts_with("-w reads the record")
    );
    assert_eq!(
        replayed(&[&one], &["-o", "json"]).unwrap(),
        live(&story(), &["-o", "json"]),
        "it is still there"
    );
    fs::write(&copy, "").unwrap();
    assert!(replayed(&[&one, &copy], &[]).is_ok(), "an empty segment tells nothing");
}

#[test]
fn a_small_record_is_written_though_nobody_reads_what_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let [file, small] = ["r.rec", "small.rec"].map(|name| folder.path().join(name));
    record(&file, None, &story());
    let line = ["macvlan-trace", "replay", file.to_str().unwrap(), "-w", small.to_str().unwrap()];
    let Some(Verb::Replay(args)) = Cli::try_parse_from(line).unwrap().verb else { panic!("a replay") };
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let error = run(&args, &mut io::LineWriter::new(full), &mut io::sink()).unwrap_err().to_string();
    assert!(error.starts_with("cannot write to standard output: No space left on device"), "{error}");
    assert!(error.ends_with("make room there, or write elsewhere"), "{error}");
    assert_eq!(replayed(&[&small], &[]).unwrap(), replayed(&[&file], &[]).unwrap());
}
