use super::*;

const ID: &str = "9f3c1a2b4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8";
const OUTER: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const UID: &str = "7d1c2b3a-4e5f-6071-8293-a4b5c6d7e8f9";

/// Fills in the ids.
fn place(path: &str) -> Place {
    let path = path.replace("UID_", &UID.replace('-', "_")).replace("UID", UID);
    place_of(&Text::from(path.replace("OUTER", OUTER).replace("ID", ID).as_str()))
}

/// Runtime, id, user and whether it is nested; the id is `ID` where it is the usual one.
fn container(path: &str) -> Option<(Option<&'static str>, String, Option<u32>, bool)> {
    let ContainerId { runtime, id, user, nested } = place(path).container?;
    Some((runtime, id.replace(ID, "ID"), user, nested))
}

#[test]
fn every_runtime_is_known_by_its_own_shape() {
    let kube = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID_.slice";
    let manager = "/user.slice/user-1000.slice/user@1000.service";
    for (path, runtime) in [
        // Docker: systemd driver, cgroupfs driver, in a slice or a group of the user's choice.
        ("/system.slice/docker-ID.scope".to_owned(), Some("docker")),
        ("/docker/ID".to_owned(), Some("docker")),
        ("/web.slice/docker-ID.scope".to_owned(), Some("docker")),
        ("/system.slice/docker-ID.scope/init.scope".to_owned(), Some("docker")),
        ("/ecs/7d1c2b3a4e5f60718293a4b5c6d7e8f9/ID".to_owned(), None),
        ("/system.slice:docker:ID".to_owned(), Some("docker")),
        // containerd: Kubernetes with either driver or with both at odds, nerdctl, ctr.
        (format!("{kube}/cri-containerd-ID.scope"), Some("containerd")),
        ("/kubepods/burstable/podUID/ID".to_owned(), None),
        ("/kubepods/podUID/ID".to_owned(), None),
        (
            "/system.slice/containerd.service/kubepods-burstable-podUID_.slice:cri-containerd:ID".to_owned(),
            Some("containerd"),
        ),
        ("/system.slice/nerdctl-ID.scope".to_owned(), Some("containerd")),
        ("/default/ID".to_owned(), Some("containerd")),
        ("/k8s.io/ID".to_owned(), Some("containerd")),
        // CRI-O.
        (format!("{kube}/crio-ID.scope"), Some("cri-o")),
        (format!("{kube}/crio-ID.scope/container"), Some("cri-o")),
        ("/kubepods/besteffort/podUID/crio-ID".to_owned(), Some("cri-o")),
        // Podman: systemd driver, cgroupfs driver, pods, `--cgroups=split`.
        ("/machine.slice/libpod-ID.scope".to_owned(), Some("podman")),
        ("/machine.slice/libpod-ID.scope/container".to_owned(), Some("podman")),
        ("/machine.slice/libpod-ID.scope/container/system.slice/nginx.service".to_owned(), Some("podman")),
        ("/libpod_parent/libpod-ID".to_owned(), Some("podman")),
        ("/libpod_parent/OUTER/libpod-ID".to_owned(), Some("podman")),
        (
            "/machine.slice/machine-libpod_pod_OUTER.slice/libpod-ID.scope/container".to_owned(),
            Some("podman"),
        ),
        ("/system.slice/web.service/libpod-payload-ID".to_owned(), Some("podman")),
    ] {
        assert_eq!(container(&path), Some((runtime, "ID".to_owned(), None, false)), "{path}");
    }
    for (path, runtime) in [
        (format!("{manager}/user.slice/libpod-ID.scope/container"), "podman"),
        (format!("{manager}/app.slice/web.service/libpod-payload-ID"), "podman"),
        (format!("{manager}/user.slice/user-libpod_pod_OUTER.slice/libpod-ID.scope"), "podman"),
        (format!("{manager}/user.slice/docker-ID.scope"), "docker"),
    ] {
        assert_eq!(container(&path), Some((Some(runtime), "ID".to_owned(), Some(1000), false)), "{path}");
    }
    let root = "/user.slice/user-0.slice/user@0.service/user.slice/libpod-ID.scope";
    assert_eq!(container(root).and_then(|found| found.2), None, "root's runtimes are the machine's");
}

#[test]
fn runtimes_that_know_containers_by_name() {
    for (path, runtime, name) in [
        ("/lxc.payload.web", "lxc", "web"),
        ("/lxc.payload.web/system.slice/nginx.service", "lxc", "web"),
        ("/lxc.payload/web", "lxc", "web"),
        ("/lxc/web", "lxc", "web"),
        ("/lxc/101/ns/init.scope", "lxc", "101"),
        ("/user.slice/user-1000.slice/session-2.scope/lxc.payload.my.web", "lxc", "my.web"),
        ("/machine.slice/systemd-nspawn@web.service/payload", "systemd-nspawn", "web"),
        ("/machine.slice/systemd-nspawn@my\\x2dweb.service/payload/init.scope", "systemd-nspawn", "my-web"),
        ("/machine.slice/machine-my\\x2dweb.scope/payload", "systemd-nspawn", "my-web"),
        ("/machine.slice/machine-odd\\x2.scope/payload", "systemd-nspawn", "odd\\x2"),
        ("/default/redis-1", "containerd", "redis-1"),
    ] {
        let found = container(path).unwrap_or_else(|| panic!("{path}"));
        assert_eq!(found, (Some(runtime), name.to_owned(), found.2, false), "{path}");
        let by_name = runtime != "containerd";
        let bare = place(path).container.unwrap().bare(None);
        assert_eq!(bare.name, by_name.then(|| name.to_owned()), "{path}");
    }
}

#[test]
fn what_only_looks_like_a_container_is_none() {
    for path in [
        "/",
        "",
        "/system.slice/docker.service",
        "/system.slice/containerd.service",
        "/system.slice/crio-conmon-ID.scope",
        "/kubepods.slice/kubepods-podUID_.slice/crio-conmon-ID.scope",
        "/kubepods/podUID/crio-conmon-ID",
        "/machine.slice/libpod-conmon-ID.scope",
        "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-conmon-ID.scope",
        "/system.slice/web.service/runtime",
        "/libpod_parent/OUTER",
        "/libpod_parent/conmon",
        "/lxc.monitor.web",
        "/lxc.monitor/web",
        "/lxc.pivot",
        "/lxc.payload.",
        "/lxc",
        "/machine.slice/systemd-nspawn@web.service/supervisor",
        "/machine.slice/systemd-nspawn@web.service",
        "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/emulator",
        "/payload",
        "/docker/buildkit",
        "/docker/9f3c1a2b",
        "/system.slice/docker-9f3c1a2b.scope",
        "/system.slice/evil-ID.scope",
        "/system.slice/docker-ID.service",
        "/docker-ID.scope.mount",
        "/system.slice/a:b:ID",
        "/default",
        "/default/",
        "/default/..",
        "/x/default/redis",
        "/garden/7d1c2b3a-4e5f-6071-5c4d-8e9f",
        "/nomad.slice/share.slice/UID.web.scope",
        "/kubepods/burstable/podUID",
        "/init.scope",
    ] {
        assert_eq!(container(path), None, "{path}");
    }
    let upper = ID.to_uppercase();
    assert_eq!(place_of(&Text::from(format!("/docker/{upper}").as_str())).container, None);
}

#[test]
fn of_containers_in_each_other_the_innermost_counts_and_is_known_to_be_inside() {
    for (path, runtime) in [
        ("/docker/OUTER/docker/ID", Some("docker")),
        ("/system.slice/docker-OUTER.scope/docker/ID", Some("docker")),
        // kind: a Kubernetes node in a Docker container.
        (
            "/docker/OUTER/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/\
             kubelet-kubepods-besteffort-podUID_.slice/cri-containerd-ID.scope",
            Some("containerd"),
        ),
        ("/docker/OUTER/kubelet/kubepods/burstable/podUID/ID", None),
        ("/lxc.payload.web/docker/ID", Some("docker")),
        ("/kubepods/burstable/podUID/OUTER/docker/ID", Some("docker")),
    ] {
        assert_eq!(container(path), Some((runtime, "ID".to_owned(), None, true)), "{path}");
        assert!(!place(path).container.unwrap().has_files(), "{path}");
    }
    let inside =
        "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-OUTER.scope/container/docker/ID";
    assert_eq!(container(inside), Some((Some("docker"), "ID".to_owned(), None, true)));
    assert!(place("/docker/ID").container.unwrap().has_files());
    assert!(!place("/lxc/web").container.unwrap().has_files());
}

#[test]
fn a_pod_has_a_uid_and_a_quality_of_service() {
    for (path, qos) in [
        ("/kubepods.slice/kubepods-podUID_.slice/cri-containerd-ID.scope", "guaranteed"),
        ("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID_.slice", "burstable"),
        ("/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podUID_.slice/crio-ID", "besteffort"),
        ("/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podUID_.slice/x", "guaranteed"),
        ("/kubelet.slice/kubelet-kubepods-besteffort-podUID_.slice/x", "besteffort"),
        ("/system.slice/kubepods-burstable-podUID_.slice:cri-containerd:ID", "burstable"),
        ("/kubepods/podUID/ID", "guaranteed"),
        ("/kubepods/burstable/podUID/ID", "burstable"),
        ("/kubelet/kubepods/besteffort/podUID/crio-conmon-ID", "besteffort"),
    ] {
        assert_eq!(place(path).pod, Some(PodId { uid: UID.to_owned(), qos }), "{path}");
    }
    let static_pod = "/kubepods/burstable/pod0123456789abcdef0123456789abcdef/ID";
    assert_eq!(place(static_pod).pod.unwrap().uid, "0123456789abcdef0123456789abcdef");
    for path in [
        "/kubepods/burstable",
        "/kubepods/burstable/pod",
        "/kubepods/burstable/pod../../../ID",
        "/podUID",
        "/burstable/podUID",
        "/tripod-podUID_.slice",
        "/machine.slice/machine-libpod_pod_ID.slice",
    ] {
        assert_eq!(place(path).pod, None, "{path}");
    }
    let bare =
        place("/kubepods/podUID/ID").container.unwrap().bare(place("/kubepods/podUID/ID").pod.as_ref());
    assert_eq!(bare.pod.unwrap().qos.as_deref(), Some("guaranteed"));
}

#[test]
fn unit_slice_and_session_are_those_of_systemd() {
    let text = |text: Option<&str>| text.map(Text::from);
    for (path, unit, slice, session) in [
        ("/system.slice/docker.service", Some("docker.service"), Some("system.slice"), None),
        (
            "/user.slice/user-1000.slice/session-3.scope",
            Some("session-3.scope"),
            Some("user-1000.slice"),
            Some("3"),
        ),
        (
            "/user.slice/user-0.slice/session-c1.scope",
            Some("session-c1.scope"),
            Some("user-0.slice"),
            Some("c1"),
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/app-a.scope",
            Some("app-a.scope"),
            Some("app.slice"),
            None,
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service/init.scope",
            Some("init.scope"),
            Some("user-1000.slice"),
            None,
        ),
        // The unit of the systemd inside, and the slice that holds that.
        (
            "/system.slice/docker-ID.scope/system.slice/nginx.service",
            Some("nginx.service"),
            Some("system.slice"),
            None,
        ),
        (
            "/system.slice/containerd.service/kubepods-x.slice",
            Some("containerd.service"),
            Some("system.slice"),
            None,
        ),
        ("/kubepods.slice/kubepods-burstable.slice", None, Some("kubepods-burstable.slice"), None),
        ("/system.slice/_cgroup.service", Some("cgroup.service"), Some("system.slice"), None),
        ("/docker/ID", None, None, None),
        ("/session-3.scope", Some("session-3.scope"), None, None),
        ("/user.slice/user-1000.slice/session-.scope", Some("session-.scope"), Some("user-1000.slice"), None),
        ("/.slice", None, None, None),
        ("/", None, None, None),
    ] {
        let found = place(path);
        assert_eq!(
            (found.unit, found.slice, found.session),
            (text(unit), text(slice), text(session)),
            "{path}"
        );
    }
}

#[test]
fn bytes_that_are_no_text_are_kept_in_a_name_and_never_a_panic() {
    let lxc = place_of(&Text::from(b"/lxc.payload.w\xff\xfeb".to_vec())).container.unwrap();
    assert_eq!(lxc.id, "w\\xff\\xfeb");
    // Every cut of every byte of a path with all that is looked for.
    let path = format!(
        "/user@1.service/kubepods/burstable/pod{UID}/systemd-nspawn@\\x2d\\x.service/payload/_x.slice:docker:{ID}"
    );
    for end in 0..path.len() {
        for byte in [b'\xff', b'/', b'\\', b'-', b':'] {
            let mut bytes = path.as_bytes()[..end].to_vec();
            bytes.push(byte);
            let _ = place_of(&Text::from(bytes));
        }
    }
}
