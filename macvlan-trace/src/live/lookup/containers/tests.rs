use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, symlink},
};

use serde_json::{Value, json};

use super::*;

const ID: &str = "9f3c1a2b4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8";
const OTHER: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const UID: &str = "7d1c2b3a-4e5f-6071-8293-a4b5c6d7e8f9";

/// The root of a machine.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path.replace("ID", ID))
    }

    /// A file, with the folders to it.
    fn has(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    fn has_json(&self, path: &str, content: &Value) -> &Self {
        self.has(path, content.to_string())
    }

    /// What is told of the container of a control group.
    fn told(&self, cgroup: &str) -> Option<Container> {
        Containers::new(self.0.path()).look_up_new(&Text::from(cgroup.replace("ID", ID).as_str()))
    }

    /// Runtime and name.
    fn name(&self, cgroup: &str) -> Option<(String, Option<String>)> {
        let told = self.told(cgroup)?;
        assert_eq!(told.id, ID);
        Some((told.runtime.unwrap(), told.name))
    }
}

fn named(runtime: &str, name: &str) -> (String, Option<String>) {
    (runtime.to_owned(), Some(name.to_owned()))
}

const DOCKER: &str = "/system.slice/docker-ID.scope";
const DOCKER_FILE: &str = "var/lib/docker/containers/ID/config.v2.json";
const PODMAN: &str = "/machine.slice/libpod-ID.scope/container";
const STORAGE: &str = "var/lib/containers/storage";

#[test]
fn docker_tells_the_name() {
    let machine = Machine::new();
    machine.has_json(
        DOCKER_FILE,
        &json!({"ID": ID, "Name": "/web", "Config": {"Labels": {"a": "b"}, "Env": []}}),
    );
    assert_eq!(machine.name(DOCKER), Some(named("docker", "web")));
    assert_eq!(machine.name("/docker/ID"), Some(named("docker", "web")));
    assert_eq!(machine.name("/ecs/task/ID"), Some(named("docker", "web")), "its files tell whose it is");
    assert_eq!(machine.told(DOCKER).unwrap().pod, None);
    let none: [&str; 4] = ["/", "/system.slice/docker.service", "/system.slice/crio-ID.scope", PODMAN];
    for cgroup in none {
        assert_eq!(machine.told(cgroup), None, "{cgroup}");
    }
    machine.has_json(DOCKER_FILE, &json!({"Name": "/web", "Config": {"Labels": null}}));
    assert_eq!(machine.name(DOCKER), Some(named("docker", "web")));
}

#[test]
fn docker_may_keep_its_files_elsewhere() {
    let machine = Machine::new();
    machine.has_json("etc/docker/daemon.json", &json!({"data-root": "/data/docker", "debug": true}));
    machine.has_json("data/docker/containers/ID/config.v2.json", &json!({"Name": "/web"}));
    assert_eq!(machine.name(DOCKER), Some(named("docker", "web")));
    machine.has("etc/docker/daemon.json", "{");
    assert_eq!(machine.name(DOCKER), None);
    // Or behind a link, which is the machine's own and not ours.
    fs::create_dir_all(machine.path("var/lib")).unwrap();
    symlink("/data/docker", machine.path("var/lib/docker")).unwrap();
    assert_eq!(machine.name(DOCKER), Some(named("docker", "web")));
}

#[test]
fn kubernetes_has_docker_keep_the_pod() {
    let machine = Machine::new();
    let labels = |container: &str| {
        json!({"io.kubernetes.container.name": container, "io.kubernetes.pod.name": "shop-7d9f",
               "io.kubernetes.pod.namespace": "default", "io.kubernetes.pod.uid": UID})
    };
    machine.has_json(DOCKER_FILE, &json!({"Name": "/k8s_web_shop", "Config": {"Labels": labels("web")}}));
    let cgroup = "/kubepods/burstable/pod7d1c2b3a-4e5f-6071-8293-a4b5c6d7e8f9/ID";
    let told = machine.told(cgroup).unwrap();
    assert_eq!((told.runtime.as_deref(), told.name.as_deref()), (Some("docker"), Some("web")));
    let pod = told.pod.unwrap();
    assert_eq!((pod.namespace.as_deref(), pod.name.as_deref()), (Some("default"), Some("shop-7d9f")));
    assert_eq!(pod.uid.as_deref(), Some(UID));
    machine.has_json(DOCKER_FILE, &json!({"Name": "/k8s_POD_shop", "Config": {"Labels": labels("POD")}}));
    let sandbox = machine.told(cgroup).unwrap();
    assert_eq!((sandbox.name, sandbox.pod.unwrap().name.as_deref()), (None, Some("shop-7d9f")));
}

#[test]
fn podman_tells_the_name_in_its_lists() {
    for list in [
        "overlay-containers/containers.json",
        "overlay-containers/volatile-containers.json",
        "vfs-containers/containers.json",
    ] {
        let machine = Machine::new();
        let entries =
            json!([{"id": OTHER, "names": ["db"]}, {"id": ID, "names": ["web", "alias"], "metadata": "{}"}]);
        machine.has_json(&format!("{STORAGE}/overlay-containers/containers.json"), &json!([{"id": OTHER}]));
        machine.has_json(&format!("{STORAGE}/{list}"), &entries);
        assert_eq!(machine.name(PODMAN), Some(named("podman", "web")), "{list}");
    }
    let machine = Machine::new();
    machine.has_json(
        &format!("{STORAGE}/overlay-containers/containers.json"),
        &json!([{"id": ID, "names": []}]),
    );
    assert_eq!(machine.name(PODMAN), Some(("podman".to_owned(), None)));
}

#[test]
fn a_users_containers_are_looked_for_in_the_users_home_and_nowhere_else() {
    let machine = Machine::new();
    let podman = "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container";
    let docker = "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope";
    machine.has("etc/passwd", "root:x:0:0::/root:/bin/sh\nbroken\nann:x:1000:1000:Ann,,:/home/ann:/bin/sh\n");
    // Who can choose a control group's name must not come to another's container's name by that.
    machine.has_json(
        &format!("{STORAGE}/overlay-containers/containers.json"),
        &json!([{"id": ID, "names": ["root"]}]),
    );
    machine.has_json(DOCKER_FILE, &json!({"Name": "/root"}));
    assert_eq!(machine.told(podman), None);
    assert_eq!(machine.told(docker), None);

    let list = "home/ann/.local/share/containers/storage/overlay-containers/containers.json";
    machine.has_json(list, &json!([{"id": ID, "names": ["web"]}]));
    machine.has_json("home/ann/.local/share/docker/containers/ID/config.v2.json", &json!({"Name": "/blog"}));
    assert_eq!(machine.name(podman), Some(named("podman", "web")));
    assert_eq!(machine.told(podman).unwrap().user, Some(1000));
    assert_eq!(machine.name(docker), Some(named("docker", "blog")));
    assert_eq!(machine.name(PODMAN), Some(named("podman", "root")), "the machine's own of that id");
    assert_eq!(machine.told(&podman.replace("1000", "1001")), None);

    // Nothing in a home leads out of it, whether up, to the root or through another process.
    let outside = machine.path(&format!("{STORAGE}/overlay-containers/containers.json"));
    for target in
        [outside, "../../../../../../../var/lib/containers/storage/overlay-containers/containers.json".into()]
    {
        fs::remove_file(machine.path(list)).unwrap();
        symlink(target, machine.path(list)).unwrap();
        assert_eq!(machine.told(podman), None);
    }
}

#[test]
fn cri_o_tells_name_and_pod() {
    for storage in ["run/containers/storage", STORAGE] {
        let machine = Machine::new();
        machine.has_json(
            &format!("{storage}/overlay-containers/ID/userdata/config.json"),
            &json!({"ociVersion": "1.0.2", "annotations": {
                "io.kubernetes.container.name": "web", "io.kubernetes.pod.name": "shop-7d9f",
                "io.kubernetes.pod.namespace": "default", "io.kubernetes.pod.uid": UID}}),
        );
        let told = machine.told("/kubepods.slice/crio-ID.scope/container").unwrap();
        assert_eq!((told.runtime.as_deref(), told.name.as_deref()), (Some("cri-o"), Some("web")));
        assert_eq!(told.pod.unwrap().name.as_deref(), Some("shop-7d9f"));
    }
}

#[test]
fn containerd_tells_name_and_pod_in_any_of_its_namespaces() {
    let cgroup = "/kubepods.slice/cri-containerd-ID.scope";
    let pod = |kind: &str, name: Option<&str>| {
        json!({"annotations": {
            "io.kubernetes.cri.container-type": kind, "io.kubernetes.cri.container-name": name,
            "io.kubernetes.cri.sandbox-id": OTHER, "io.kubernetes.cri.sandbox-name": "shop-7d9f",
            "io.kubernetes.cri.sandbox-namespace": "default", "io.kubernetes.cri.sandbox-uid": UID}})
    };
    for tasks in TASKS {
        let machine = Machine::new();
        fs::create_dir_all(machine.path(tasks).join("empty")).unwrap();
        let file = format!("{tasks}/k8s.io/ID/config.json");
        machine.has_json(&file, &pod("container", Some("web")));
        let told = machine.told(cgroup).unwrap();
        assert_eq!((told.runtime.as_deref(), told.name.as_deref()), (Some("containerd"), Some("web")));
        let of = told.pod.unwrap();
        assert_eq!((of.namespace.as_deref(), of.name.as_deref()), (Some("default"), Some("shop-7d9f")));
        assert_eq!((of.uid.as_deref(), of.qos), (Some(UID), None));
        machine.has_json(&file, &pod("sandbox", None));
        let sandbox = machine.told(cgroup).unwrap();
        assert_eq!((sandbox.name, sandbox.pod.unwrap().name.as_deref()), (None, Some("shop-7d9f")));
    }
    let machine = Machine::new();
    let tasks = TASKS[0];
    machine.has_json(
        &format!("{tasks}/default/ID/config.json"),
        &json!({"annotations": {"nerdctl/name": "web"}}),
    );
    assert_eq!(machine.name("/system.slice/nerdctl-ID.scope"), Some(named("containerd", "web")));
    let machine = Machine::new();
    machine.has_json(&format!("{tasks}/moby/ID/config.json"), &json!({"annotations": null}));
    assert_eq!(machine.name("/mine/ID"), Some(("docker".to_owned(), None)), "Docker has its own run there");
}

#[test]
fn a_file_that_is_not_as_it_should_be_says_nothing() {
    let machine = Machine::new();
    let whole = json!({"Name": "/web", "Config": {"Labels": {}}}).to_string();
    for cut in 0..whole.len() {
        machine.has(DOCKER_FILE, &whole[..cut]);
        assert_eq!(machine.told(DOCKER), None, "{}", &whole[..cut]);
    }
    let deep = "[".repeat(100_000);
    for content in [
        &b"null"[..],
        b"[]",
        b"\"web\"",
        b"{\"Name\": 7}",
        b"{\"Name\": \"\xff\xfe\"}",
        b"{\"Name\": \"a\", \"Name\": \"b\"}",
        b"{\"Name\": \"a\", \"Config\": {\"Labels\": {\"io.kubernetes.pod.name\": {}}}}",
        b"\0\0\0\0",
        deep.as_bytes(),
    ] {
        machine.has(DOCKER_FILE, content);
        let told = machine.told(DOCKER);
        assert_eq!(told, None, "{:?}", &content[..content.len().min(40)]);
    }
    for name in ["", "/", &"x".repeat(300)] {
        machine.has_json(DOCKER_FILE, &json!({"Name": name}));
        assert_eq!(machine.name(DOCKER), Some(("docker".to_owned(), None)), "{name:?} is no name");
    }
    let hostile = "\x1b[2J\u{202e}\n";
    machine.has_json(DOCKER_FILE, &json!({"Name": hostile}));
    assert_eq!(machine.name(DOCKER), Some(named("docker", hostile)), "sinks make it harmless");
}

#[test]
fn what_is_no_plain_file_of_a_bearable_size_is_not_read() {
    let machine = Machine::new();
    let file = machine.path(DOCKER_FILE);
    fs::create_dir_all(&file).unwrap();
    assert_eq!(machine.told(DOCKER), None, "a folder");
    fs::remove_dir(&file).unwrap();

    symlink("config.v2.json", &file).unwrap();
    assert_eq!(machine.told(DOCKER), None, "a link to itself");
    fs::remove_file(&file).unwrap();

    symlink("/proc/self/cmdline", &file).unwrap();
    assert_eq!(machine.told(DOCKER), None, "a link out of the root");
    fs::remove_file(&file).unwrap();

    rustix::fs::mkfifoat(rustix::fs::CWD, &file, Mode::RUSR | Mode::WUSR).unwrap();
    assert_eq!(machine.told(DOCKER), None, "a pipe");
    fs::remove_file(&file).unwrap();

    // Blanks before it are good JSON.
    machine.has(DOCKER_FILE, format!("{}{{\"Name\": \"/web\"}}", " ".repeat(1 << 20)));
    assert_eq!(machine.name(DOCKER), Some(named("docker", "web")));
    machine.has(DOCKER_FILE, format!("{}{{\"Name\": \"/web\"}}", " ".repeat(9 << 20)));
    assert_eq!(machine.told(DOCKER), None, "it is huge");
    File::create(&file).unwrap().set_len(100 << 20).unwrap();
    assert_eq!(machine.told(DOCKER), None, "it is huge and empty");

    assert_eq!(
        Containers::new(Path::new("/nowhere")).look_up_new(&Text::from(format!("/docker/{ID}").as_str())),
        None
    );
}

#[test]
fn a_file_that_may_not_be_read_says_nothing() {
    let machine = Machine::new();
    machine.has_json(DOCKER_FILE, &json!({"Name": "/web"}));
    fs::set_permissions(machine.path(DOCKER_FILE), Permissions::from_mode(0o000)).unwrap();
    // Root reads it all the same.
    let readable = fs::read(machine.path(DOCKER_FILE)).is_ok();
    assert_eq!(machine.told(DOCKER).is_some(), readable);
}

#[test]
fn a_container_is_told_once_and_not_looked_for_for_ever() {
    let machine = Machine::new();
    let mut containers = Containers::new(machine.0.path());
    let cgroup = Text::from(DOCKER.replace("ID", ID).as_str());
    // The first look comes before the file.
    assert_eq!(containers.look_up_new(&cgroup), None);
    machine.has_json(DOCKER_FILE, &json!({"Name": "/web"}));
    assert_eq!(containers.look_up_new(&cgroup).unwrap().name.as_deref(), Some("web"));
    assert_eq!(containers.look_up_new(&cgroup), None);

    let other = Text::from(format!("/docker/{OTHER}").as_str());
    for _ in 0..10 {
        assert_eq!(containers.look_up_new(&other), None);
    }
    assert_eq!(containers.looks.get(&(None, OTHER.to_owned())), Some(&0));
    assert_eq!(containers.looks.len(), 2);
}

#[test]
fn a_container_inside_another_is_not_looked_for_outside() {
    let machine = Machine::new();
    machine.has_json(DOCKER_FILE, &json!({"Name": "/web"}));
    assert_eq!(machine.told(&format!("/docker/{OTHER}/docker/ID")), None);
}
