# The incident, three times over: sh -c THIS sh IP, as root, in a network namespace of its own.
# Runs in Debian's shells and in busybox; IP is iproute2's, since busybox's shell would take its own.
set -eu
ip=$1

say() { printf '\n» %s\n' "$*"; }

# The namespace that a process is in.
netns() { readlink "/proc/$1/ns/net"; }

scratch=$(mktemp -d)
group=
[ ! -f /sys/fs/cgroup/cgroup.controllers ] || group=/sys/fs/cgroup/demo-container.$$
finish() {
    rm -r "$scratch"
    # The group's last process may still be on its way out.
    [ -z "$group" ] || rmdir "$group" 2>/dev/null || { sleep 0.5; rmdir "$group" 2>/dev/null; } || :
}
trap finish EXIT
[ -z "$group" ] || mkdir "$group"

"$ip" link add eth0 type dummy
"$ip" link set eth0 up

say "A container starts: ip link set macvlan0 up && ip addr add 192.168.1.100/24 dev macvlan0 && sh"
# What the article's image does. The runtime moves the link in; the shell's input ends after a few seconds, as it
# does at once in a container without a terminal, and with the shell ends the container.
cat >"$scratch/entrypoint" <<EOF
#!/bin/sh
until $ip link show dev macvlan0 >/dev/null 2>&1; do sleep 0.1; done
$ip link set macvlan0 up && $ip addr add 192.168.1.100/24 dev macvlan0 && sh
EOF
chmod +x "$scratch/entrypoint"
sleep 4 | sh -c '
    [ -z "$1" ] || echo $$ >"$1/cgroup.procs"
    exec unshare --fork --pid --mount --net --mount-proc "$2"
' sh "$group" "$scratch/entrypoint" &
container=$!
until [ "$(netns "$container")" != "$(netns self)" ]; do sleep 0.1; done
"$ip" link add macvlan0 link eth0 type macvlan mode bridge
"$ip" link set macvlan0 netns "$container"
sleep 2
say "macvlan0 is up, and nobody touches it any more …"
wait "$container" || :
sleep 1.5

say "Another link, on the host this time, and a daemon that likes to keep the host tidy"
"$ip" link add macvlan1 link eth0 type macvlan mode bridge
"$ip" link set macvlan1 up
cat >"$scratch/link-manager" <<EOF
#!/bin/sh
$ip link set macvlan1 down
EOF
chmod +x "$scratch/link-manager"
"$scratch/link-manager"
sleep 1.5

say "The link is brought up again, and then its parent is taken away"
"$ip" link set macvlan1 up
"$ip" link del eth0
sleep 1
printf '\n'
