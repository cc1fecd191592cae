//! Whose a link is, told in stories.

use serde_json::{Value, json};

use super::{Home, MAX_CONTAINERS, MAX_SHARING, Owners};
use crate::{
    fact::{Cgroup, Container, Ktime, Pod, Resident, Task, What},
    testing::story::{
        Macvlan, Story, Told,
        cast::{kill, runc},
        child_of, in_cgroup, init, inside, macvlan, netns, next_at, path, process, started, thread,
        without_cookie, worker,
    },
    text::Text,
};

const WEB: &str = "9f3c1a2b4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8";
const DB: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const APP: &str = "aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899";
const POD: &str = "7d1c2b3a-4e5f-6071-8293-a4b5c6d7e8f9";

fn docker(id: &str) -> String {
    format!("/system.slice/docker-{id}.scope")
}

/// The main process of a Docker container.
fn main_of(id: &str, pid: u32) -> Task {
    in_cgroup(init("sh", pid), &docker(id))
}

fn dockerd() -> Task {
    in_cgroup(process("dockerd", 400), "/system.slice/docker.service")
}

fn ip() -> Task {
    process("ip", 901)
}

/// Docker's files give the container a name.
fn is_called(story: &mut Story, id: &str, name: &str) {
    story.fact(What::Container(Container {
        id: id.to_owned(),
        user: None,
        runtime: Some("docker".to_owned()),
        name: Some(name.to_owned()),
        pod: None,
    }));
}

/// A link that Docker has made and moved into a namespace, where it is called eth0.
fn given(story: &mut Story, number: u32) -> Macvlan {
    let outside = macvlan("veth1a2b3c", netns(0), 10 + number);
    let link = outside.clone().moved_to(netns(number), 2).called("eth0");
    story.creates(&dockerd(), &outside).moves(&dockerd(), (netns(0), 10 + number), &link);
    link
}

#[test]
fn each_link_belongs_to_the_container_whose_main_process_lives_with_it() {
    let mut story = Story::new();
    is_called(&mut story, WEB, "web");
    let (web, db) = (given(&mut story, 1), given(&mut story, 2));
    story.found_in(netns(1), &main_of(WEB, 812)).found_in(netns(2), &main_of(DB, 813));
    story.sets_down(&dockerd(), &web).sets_down(&dockerd(), &db);
    let told = story.tell();
    let events = told.events();
    let web = json!({"runtime": "docker", "id": WEB, "name": "web", "pod": null});
    events[4].is("/victim/container", web).is("/actor/container", Value::Null);
    events[5].is("/victim/container/id", DB).is("/victim/container/name", Value::Null);
    // Before, nobody was known to live there.
    events[1].is("/victim/container", Value::Null).is("/to/container", Value::Null);
}

#[test]
fn the_container_of_a_task_is_that_of_its_cgroup() {
    let mut story = Story::new();
    is_called(&mut story, WEB, "web");
    let link = given(&mut story, 1);
    let shell = in_cgroup(process("busybox", 900), &docker(WEB));
    story.sets_down(&shell, &link);
    let told = story.tell();
    told.last().is("/actor/container/name", "web").is("/culprit/container/name", "web");
    told.last().is("/actor/unit", format!("docker-{WEB}.scope")).is("/actor/slice", "system.slice");
    told.last().is("/victim/container", Value::Null);
    let session = "/user.slice/user-1000.slice/session-3.scope";
    let mut story = Story::new();
    story.sets_down(&in_cgroup(ip(), session), &macvlan("macvlan0", netns(0), 7));
    story.tell().last().is("/actor/session", "3").is("/actor/slice", "user-1000.slice");
}

#[test]
fn a_link_that_docker_takes_back_before_it_deletes_it_is_still_the_containers() {
    // Nobody was found in the namespace: only the end of the main process tells.
    let mut story = Story::new();
    let (link, init) = (given(&mut story, 1), main_of(WEB, 812));
    let runc = process("runc", 700);
    story.sends(&runc, 9, &init, netns(1)).dies(&init, netns(1), 9);
    let back = link.clone().moved_to(netns(0), 14).called("veth1a2b3c");
    story.sets_down(&dockerd(), &link).moves(&dockerd(), (netns(1), 2), &back).deletes(&dockerd(), &back);
    is_called(&mut story, WEB, "too-late");
    story.deletes(&dockerd(), &macvlan("other", netns(0), 15));
    let told = story.tell();
    let events = told.events();
    for event in &events[2..5] {
        event.is("/victim/container/id", WEB).is("/victim/container/runtime", "docker");
    }
    events[3].is("/event", "moved").is("/to/container", Value::Null);
    events[5].is("/victim/container", Value::Null);
}

#[test]
fn a_container_that_is_gone_has_its_name_still() {
    let mut story = Story::new();
    let (link, init) = (given(&mut story, 1), main_of(WEB, 812));
    is_called(&mut story, WEB, "web");
    story.found_in(netns(1), &init).exits(&init, netns(1), 0).drops(&init, netns(1), path::EXIT);
    story.wait_ms(60_000).is_torn_down(&link);
    let told = story.tell();
    told.last().is("/victim/container/name", "web").is("/victim/init/container/name", "web");
    told.last().is("/culprit/container/id", WEB).verdict("container-exited", "certain");
}

#[test]
fn the_next_container_at_the_same_address_takes_nothing_over() {
    let first = |story: &mut Story, netns| {
        let link = macvlan("macvlan0", netns, 7);
        let init = main_of(WEB, 812);
        story
            .creates(&ip(), &link)
            .exits(&init, netns, 0)
            .drops(&init, netns, path::EXIT)
            .is_torn_down(&link);
    };
    for (one, next) in [(netns(1), next_at(netns(1))), (without_cookie(netns(1)), without_cookie(netns(1)))] {
        let link = macvlan("macvlan0", next, 8);
        let mut story = Story::new();
        first(&mut story, one);
        story.creates(&ip(), &link).sets_down(&ip(), &link);
        let told = story.tell();
        told.events()[1].is("/victim/container/id", WEB);
        told.last().is("/event", "down").is("/victim/container", Value::Null);

        let mut story = Story::new();
        first(&mut story, one);
        story.creates(&ip(), &link).exits(&main_of(DB, 813), next, 0).is_torn_down(&link);
        story.tell().last().is("/victim/container/id", DB);
    }
}

#[test]
fn whoever_is_found_after_a_namespaces_end_lives_in_another_one() {
    let (link, netns) = (macvlan("macvlan0", netns(1), 7), netns(1));
    let shell = process("sh", 500);
    let mut story = Story::new();
    story.creates(&ip(), &link).exits(&shell, netns, 0).drops(&shell, netns, path::EXIT);
    story.found_in(netns, &main_of(WEB, 812)).is_torn_down(&link);
    story.tell().last().is("/victim/container", Value::Null);
}

#[test]
fn a_visitor_from_a_container_owns_nothing() {
    // The main process of a container runs `ip netns exec blue sh`, by itself or in a child with a pid namespace of its
    // own, and ends there.
    let (blue, link) = (netns(1), macvlan("macvlan0", netns(1), 7));
    let visitor = main_of(WEB, 812);
    let child = child_of(inside(in_cgroup(process("sh", 950), &docker(WEB)), 950, 2, 1), &visitor);
    for ends in [&visitor, &started(child, 91_000_000_000)] {
        let mut story = Story::new();
        story.creates(&ip(), &link).goes(&visitor, netns(5), blue).wait_ms(2000);
        story.sends(&ip(), 15, ends, blue).exits(ends, blue, 0).sets_down(&ip(), &link);
        story.tell().last().is("/event", "down").is("/victim/container", Value::Null);
    }
    // A process that is no main process owns nothing either.
    let mut story = Story::new();
    let exec = in_cgroup(inside(process("sh", 960), 812, 1, 17), &docker(WEB));
    story.creates(&ip(), &link).exits(&exec, blue, 0).sets_down(&ip(), &link);
    story.tell().last().is("/victim/container", Value::Null);
}

#[test]
fn a_process_of_the_host_owns_nothing() {
    let link = macvlan("macvlan0", netns(1), 7);
    let shell = in_cgroup(init("sh", 812), "/user.slice/user-1000.slice/session-3.scope");
    let mut story = Story::new();
    story.creates(&ip(), &link).found_in(netns(1), &shell).exits(&shell, netns(1), 0).is_torn_down(&link);
    story.tell().last().is("/victim/container", Value::Null);
    let nowhere = Task { cgroup: Cgroup::default(), ..init("sh", 812) };
    let mut story = Story::new();
    story.creates(&ip(), &link).exits(&nowhere, netns(1), 0).is_torn_down(&link);
    story.tell().last().is("/victim/container", Value::Null);
}

#[test]
fn a_signal_tells_who_lives_there_as_well() {
    let mut story = Story::new();
    let (link, init) = (given(&mut story, 1), main_of(WEB, 812));
    // The signalled process has to have been seen.
    story
        .fact(What::Task(Box::new(init.clone())))
        .sends(&ip(), 1, &init, netns(1))
        .sets_down(&dockerd(), &link);
    story.tell().last().is("/victim/container/id", WEB);
}

#[test]
fn a_pod_belongs_to_the_container_that_holds_it_while_that_lives() {
    let slice = format!(
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice",
        POD.replace('-', "_")
    );
    let container =
        |name: &str, pid, id: &str| in_cgroup(init(name, pid), &format!("{slice}/cri-containerd-{id}.scope"));
    let (pause, app) = (container("pause", 800, DB), container("app", 812, WEB));
    let link = macvlan("eth0", netns(1), 2);
    let pod = Pod {
        uid: Some(POD.into()),
        qos: None,
        namespace: Some("default".into()),
        name: Some("shop".into()),
    };
    let sandbox = Container {
        id: DB.into(),
        user: None,
        runtime: Some("containerd".into()),
        name: None,
        pod: Some(pod),
    };
    let mut story = Story::new();
    story.creates(&ip(), &link).found_in(netns(1), &pause).fact(What::Container(sandbox));
    // The application crashes, and with the pod's end goes before what holds it.
    story.exits(&app, netns(1), 1).sets_down(&ip(), &link);
    story.exits(&container("app", 813, WEB), netns(1), 0).exits(&pause, netns(1), 0);
    story.drops(&pause, netns(1), path::EXIT).is_torn_down(&link);
    let told = story.tell();
    let holder = json!({"runtime": "containerd", "id": DB, "name": null,
        "pod": {"namespace": "default", "name": "shop", "uid": POD, "qos": "burstable"}});
    told.events()[1].is("/victim/container", holder.clone());
    told.last().is("/victim/container", holder);
    told.last().is("/victim/init/container/pod/uid", POD);

    // The same where nobody looked: the holder ends last, and the application had ended before.
    let mut story = Story::new();
    story.creates(&ip(), &link).exits(&app, netns(1), 0).exits(&pause, netns(1), 0).sets_down(&ip(), &link);
    story.tell().last().is("/victim/container/id", DB);

    // A container that outlives the one whose namespace it shares has it then; one that ends with it has not.
    let mut story = Story::new();
    story.creates(&ip(), &link).found_in(netns(1), &pause).exits(&pause, netns(1), 0);
    story.sets_down(&ip(), &link).wait_ms(121_000).exits(&app, netns(1), 0).is_torn_down(&link);
    let told = story.tell();
    told.events()[1].is("/victim/container/id", DB);
    told.last().is("/victim/container/id", WEB);

    let mut story = Story::new();
    story.creates(&ip(), &link).found_in(netns(1), &pause).exits(&pause, netns(1), 0).wait_ms(20);
    story.exits(&app, netns(1), 0).sets_down(&ip(), &link);
    story.tell().last().is("/victim/container/id", DB);
}

#[test]
fn a_pid_namespace_inside_a_container_does_not_end_it() {
    let (link, main) = (macvlan("eth0", netns(1), 2), main_of(WEB, 812));
    let sandbox = inside(in_cgroup(process("sandbox", 850), &docker(WEB)), 850, 2, 1);
    let mut story = Story::new();
    story.creates(&ip(), &link).found_in(netns(1), &main).exits(&sandbox, netns(1), 0);
    story.exits(&main_of(DB, 860), netns(1), 0).sets_down(&ip(), &link);
    story.tell().last().is("/victim/container/id", WEB);
}

#[test]
fn a_link_that_moves_between_containers_belongs_to_the_one_it_was_in_last() {
    let (web, db) = (main_of(WEB, 812), main_of(DB, 813));
    let link = macvlan("macvlan0", netns(1), 7);
    let there = link.clone().moved_to(netns(2), 3);
    let mut story = Story::new();
    story.creates(&ip(), &link).found_in(netns(1), &web).found_in(netns(2), &db);
    story.moves(&ip(), (netns(1), 7), &there).sets_down(&thread(ip(), 902), &there);
    let told = story.tell();
    told.events()[1].is("/victim/container/id", WEB).is("/to/container/id", DB);
    told.last().is("/victim/container/id", DB);
}

#[test]
fn a_link_of_the_stock_has_its_container() {
    let link = macvlan("macvlan0", netns(1), 7);
    let mut story = Story::new();
    story.stock(&link).found_in(netns(1), &main_of(WEB, 812));
    let back = link.clone().moved_to(netns(0), 9);
    story.moves(&dockerd(), (netns(1), 7), &back).deletes(&dockerd(), &back);
    story.tell().events().iter().for_each(|event| {
        event.is("/victim/container/id", WEB);
    });
}

#[test]
fn whoever_picks_another_containers_id_does_not_get_its_name() {
    let name = |path: &str| {
        let mut story = Story::new();
        is_called(&mut story, WEB, "web");
        story.sets_down(&in_cgroup(ip(), path), &macvlan("macvlan0", netns(0), 7));
        story.tell().last().record["actor"]["container"]["name"].clone()
    };
    assert_eq!(name(&docker(WEB)), "web");
    assert_eq!(name(&format!("/docker/{DB}/docker/{WEB}")), Value::Null, "inside another container");
    let user = format!("/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{WEB}.scope");
    assert_eq!(name(&user), Value::Null, "of a user");
}

#[test]
fn of_more_containers_than_fit_those_are_forgotten_of_which_nothing_was_heard_for_longest() {
    let mut owners = Owners::default();
    let container = |n: usize| Container {
        id: format!("{n:064x}"),
        user: None,
        runtime: Some("docker".to_owned()),
        name: Some(format!("web{n}")),
        pod: None,
    };
    let group = |n: usize| Cgroup { id: None, path: Some(Text::from(docker(&format!("{n:064x}")).as_str())) };
    let name = |owners: &Owners, n| owners.of_cgroup(&group(n)).and_then(|container| container.name);
    for n in 0..MAX_CONTAINERS + 10 {
        owners.learn(container(n));
        owners.learn(container(n));
        // It lives, and is told of now and then.
        owners.touch(&group(0));
    }
    assert_eq!((owners.told.len(), owners.evicted()), (MAX_CONTAINERS, 10));
    assert_eq!([0, 1, 11].map(|n| name(&owners, n).is_some()), [true, false, true]);
    assert_eq!(owners.of_cgroup(&Cgroup { id: None, path: Some(Text::from("/")) }), None);
    assert_eq!(owners.of_cgroup(&worker().cgroup), None);
}

/// Of the containers web and app, which may share a network namespace, web is killed, and Docker clears its link away.
fn web_is_killed(before: impl FnOnce(&mut Story, &Task, &Task)) -> Told {
    let mut story = Story::new();
    is_called(&mut story, WEB, "web");
    is_called(&mut story, APP, "app");
    let link = given(&mut story, 1);
    // runc enters the namespace, and starts the main process in there.
    let runc = process("runc:[1:CHILD]", 829);
    let (web, app) = (main_of(WEB, 812), started(child_of(main_of(APP, 830), &runc), 90_020_000_000));
    story.found_in(netns(1), &web).goes(&runc, netns(0), netns(1)).wait_ms(20);
    before(&mut story, &web, &app);
    story.sends(&kill(), 9, &web, netns(1)).dies(&web, netns(1), 9).wait_ms(100);
    story.sets_down(&dockerd(), &link).wait_ms(10);
    let outside = link.clone().moved_to(netns(0), 11);
    story.moves(&dockerd(), (netns(1), 2), &outside).deletes(&dockerd(), &outside).ticks_after_ms(60_000);
    story.tell()
}

#[test]
fn a_container_that_stays_behind_in_the_namespace_of_another_one_is_named_with_what_helps() {
    let told = web_is_killed(|story, _, app| {
        // Neither a user's request to reload nor a runtime's to go on ends it.
        story.found_sharing(netns(1), app).sends(&kill(), 1, app, netns(1));
        story.sends(&runc(), 18, app, netns(1));
    });
    let app = json!([{"runtime": "docker", "id": APP, "name": "app", "pod": null}]);
    for event in told.events().into_iter().filter(|event| event.record["event"] != "created").skip(1) {
        event
            .verdict("container-killed", "likely")
            .culprit(&kill())
            .is("/victim/container/name", "web")
            .is("/victim/shared_with", app.clone())
            .says("/verdict/cause", "away, also from container app, which shared its network namespace")
            .says(
                "/verdict/remedy",
                "if container app is to go on, `docker restart app` takes it to the new network namespace of \
                 container web once that runs again; where that was made anew, make it anew, too.",
            );
    }
    told.settled()[0]
        .is("/victims/0/name", "web")
        .is("/victims/1/name", "app")
        .says("/verdict/remedy", "`docker restart app`");
}

#[test]
fn a_container_that_is_stopped_too_or_has_a_network_of_its_own_does_not_stay_behind() {
    for decoy in [
        "is asked to end",
        "is asked with the signal that its image names",
        "is asked to end before it is found again",
        "is killed",
        "may have ended among lost records",
        "has ended",
        "has a network of its own",
    ] {
        let told = web_is_killed(|story, _, app| {
            match decoy {
                "is asked with the signal that its image names" => {
                    story.found_sharing(netns(1), app).sends(&runc(), 28, app, netns(1))
                }
                "is asked to end before it is found again" => story
                    .found_sharing(netns(1), app)
                    .sends(&runc(), 15, app, netns(1))
                    .found_sharing(netns(1), app),
                "may have ended among lost records" => {
                    story.found_sharing(netns(1), app).fact(What::Lost { records: 1 }).wait_ms(700_000)
                }
                "is killed" => story.found_sharing(netns(1), app).sends(&kill(), 9, app, netns(1)),
                "is asked to end" => {
                    story.found_sharing(netns(1), app).sends_in_vain(&kill(), 15, app, netns(1))
                }
                "has ended" => story.found_sharing(netns(1), app).exits(app, netns(1), 0),
                _ => story.found_in(netns(2), app),
            };
        });
        let event = told.last().verdict("container-killed", "likely").culprit(&kill());
        event.is("/victim/shared_with", json!([]));
        assert!(!told.to_string().contains("restart app"), "app {decoy}: {told}");
    }
}

#[test]
fn containers_of_a_pod_are_started_together() {
    let of_pod = |id: &str, pid| in_cgroup(init("app", pid), &format!("/kubepods/pod{POD}/{id}"));
    let mut story = Story::new();
    let link = given(&mut story, 1);
    let pause = of_pod(WEB, 812);
    story.found_in(netns(1), &pause).found_sharing(netns(1), &of_pod(APP, 830));
    story.sends(&kill(), 9, &pause, netns(1)).dies(&pause, netns(1), 9).wait_ms(100);
    story.deletes(&dockerd(), &link);
    let told = story.tell();
    told.last().is("/victim/shared_with/0/id", APP).culprit(&kill());
    assert!(!told.to_string().contains("shared its network namespace"), "{told}");
}

#[test]
fn of_more_containers_than_fit_in_a_namespace_the_others_are_counted() {
    let (home, mut owners) = (Home::new(1), Owners::default());
    for n in 0..u32::try_from(MAX_SHARING).unwrap() + 3 {
        let app = main_of(&format!("{n:064x}"), 800 + n);
        let resident = Resident {
            netns: netns(1),
            process: app.task.process,
            comm: app.task.comm,
            cgroup: app.cgroup,
            shares: true,
        };
        owners.note_found(Ktime(1), &home, &resident);
        owners.note_found(Ktime(2), &home, &resident);
    }
    assert_eq!((home.sharing.borrow().len(), owners.evicted()), (MAX_SHARING, 3));
}
