use std::{collections::HashSet, num::NonZeroUsize};

use super::*;
use crate::{
    fact::Ktime,
    record::{Item, Source},
    testing::story::{Story, macvlan, netns, process},
};

/// A run in which a link goes up and down so many times.
fn run(rounds: u32) -> Vec<Fact> {
    let (ip, link) = (process("ip", 901), macvlan("macvlan0", netns(1), 7));
    let mut story = Story::new();
    story.named(netns(1), "blue").creates(&ip, &link);
    for round in 0..rounds {
        story.sets_up(&process("ip", 1000 + round), &link).sets_down(&ip, &link).fact(What::Tick);
    }
    story.fact(What::End);
    story.into_stream().collect()
}

fn record(path: &Path, rotation: Option<Rotation>, facts: &[Fact]) {
    let mut recorder = Recorder::create(path, rotation).unwrap();
    for fact in facts {
        recorder.take(fact).unwrap();
        recorder.flush().unwrap();
    }
    recorder.finish().unwrap();
}

/// The facts in a file, without those that it repeats.
fn read(path: &Path) -> Vec<Fact> {
    let items = Source::new(path).items().unwrap().map(|item| item.unwrap());
    let fact = |item| match item {
        Item::Fact(fact) => Some(fact),
        _ => None,
    };
    items.filter_map(fact).collect()
}

fn is_tick(fact: &&Fact) -> bool {
    matches!(fact.what, What::Tick)
}

#[test]
fn what_was_taken_is_there_but_for_ticks_that_something_follows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.rec");
    let facts = run(3);
    record(&path, None, &facts);
    let wanted: Vec<_> = facts.iter().filter(|fact| !is_tick(fact)).cloned().collect();
    assert_eq!(read(&path), wanted);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600, "it holds arguments of processes");
}

#[test]
fn a_tick_that_is_later_than_what_follows_it_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.rec");
    let fact = |at, what| Fact { at: Ktime(at), what };
    record(&path, None, &[fact(5, What::Tick), fact(4, What::Full), fact(6, What::Tick), fact(7, What::End)]);
    assert_eq!(read(&path).iter().filter(is_tick).count(), 1);
}

#[test]
fn no_segment_is_larger_than_was_said_and_together_they_hold_it_all() {
    const SIZE: u64 = 64 << 10;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.rec");
    let facts = run(300);
    record(&path, Some(Rotation { size: SIZE, files: None }), &facts);
    let mut all = Vec::new();
    let segments = segments::list(&path).unwrap();
    assert!(segments.len() > 4, "{segments:?}");
    for (at, segment) in segments.iter().enumerate() {
        let is_gzipped = segment.path.extension().is_some_and(|extension| extension == "gz");
        // One that is not there any more has just been compressed.
        let size = fs::metadata(&segment.path).map_or(0, |metadata| metadata.len());
        assert!(is_gzipped || size <= SIZE, "{size}");
        let header = Source::new(&segment.path).header().unwrap();
        assert_eq!((header.segment as usize, header.run.host.as_bytes()), (at, &b"host"[..]));
        all.extend(read(&segment.path));
    }
    let wanted: Vec<_> = facts.iter().filter(|fact| !is_tick(fact)).cloned().collect();
    assert_eq!(all, wanted);
}

#[test]
fn a_segment_repeats_what_its_facts_refer_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.rec");
    record(&path, Some(Rotation { size: 64 << 10, files: None }), &run(300));
    let last = segments::list(&path).unwrap().pop().unwrap();
    let items: Vec<_> = Source::new(&last.path).items().unwrap().map(|item| item.unwrap()).collect();
    assert!(matches!(&items[..2], [Item::Header(one), Item::Header(other)] if one == other));
    let again: Vec<_> = items
        .iter()
        .filter_map(|item| if let Item::Again(fact) = item { Some(fact) } else { None })
        .collect();
    assert!(
        again.iter().any(|fact| matches!(&fact.what, What::NetnsName { name, .. } if *name == "blue".into()))
    );
    assert!(again.iter().any(|fact| matches!(&fact.what, What::Task(task) if task.task.process.tgid == 901)));
    assert!(again.iter().any(|fact| matches!(&fact.what, What::Stock(stock) if stock.link.dev.is_some())));
}

#[test]
fn there_are_never_more_files_than_was_said_and_the_names_go_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.rec");
    let rotation = Rotation { size: 64 << 10, files: NonZeroUsize::new(3) };
    let mut last = 0;
    for _ in 0..2 {
        let mut recorder = Recorder::create(&path, Some(rotation)).unwrap();
        for fact in run(300) {
            recorder.take(&fact).unwrap();
            recorder.flush().unwrap();
            // One that is just being compressed is there twice.
            let numbers: HashSet<_> =
                segments::list(&path).unwrap().iter().map(|segment| segment.number).collect();
            assert!(numbers.len() <= 3, "{numbers:?}");
        }
        let number = segments::list(&path).unwrap().last().unwrap().number;
        assert!(number > last, "{number}");
        last = number;
    }
}

#[test]
fn a_file_that_is_no_record_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    fs::write(&path, "do not lose this\n").unwrap();
    let error = Recorder::create(&path, None).err().unwrap().to_string();
    assert!(error.ends_with("is there already, and is no record: name another file"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "do not lose this\n");
    // A record of a former run is.
    let old = folder.path().join("r.rec");
    record(&old, None, &run(9));
    record(&old, None, &run(1));
    assert_eq!(read(&old).len(), run(1).iter().filter(|fact| !is_tick(fact)).count());
}

#[test]
fn after_somebody_has_moved_the_file_away_the_record_goes_on_in_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("r.rec"), folder.path().join("r.rec.1"));
    let facts = run(5);
    let mut recorder = Recorder::create(&path, None).unwrap();
    let (first, second) = facts.split_at(6);
    for fact in first {
        recorder.take(fact).unwrap();
    }
    fs::rename(&path, &moved).unwrap();
    recorder.reopen().unwrap();
    for fact in second {
        recorder.take(fact).unwrap();
    }
    recorder.reopen().unwrap();
    assert_eq!([&moved, &path].map(|path| Source::new(path).header().unwrap().segment), [0, 1]);
    let all: Vec<_> = [read(&moved), read(&path)].concat();
    let wanted: Vec<_> = facts.iter().filter(|fact| !is_tick(fact)).cloned().collect();
    assert_eq!(all, wanted);
}

#[test]
fn what_cannot_be_made_is_said_before_anything_is_traced() {
    let error = Recorder::create(Path::new("/nowhere/r.rec"), None).err().unwrap();
    assert!(
        format!("{error:#}").starts_with("cannot write the record to /nowhere/r.rec: No such file"),
        "{error:#}"
    );
}

#[test]
fn a_full_disk_is_an_error() {
    let mut recorder = Recorder::create(Path::new("/dev/full"), None).unwrap();
    recorder.take(&run(0)[0]).unwrap();
    assert_eq!(recorder.flush().unwrap_err().kind(), io::ErrorKind::StorageFull);
}

#[test]
fn a_run_that_never_begins_leaves_everything_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let there = || {
        let mut files: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        files.iter().map(|file| (file.clone(), fs::read(file).unwrap())).collect::<Vec<_>>()
    };
    let (path, other) = (folder.path().join("r.rec"), folder.path().join("other.rec"));
    let rotation = Some(Rotation { size: 64 << 10, files: NonZeroUsize::new(1) });
    record(&path, None, &run(3));
    record(&other, rotation, &run(3));
    let before = there();
    drop(Recorder::create(&path, None).unwrap());
    drop(Recorder::create(&folder.path().join("new.rec"), None).unwrap());
    drop(Recorder::create(&other, rotation).unwrap());
    assert_eq!(there(), before);
    record(&other, rotation, &run(3));
    assert_eq!(there().len(), before.len(), "a run that begins makes room");
}
