# Runs the kernel tests on this machine's own kernel: sh -c THIS sh PROGRAM ARGUMENTS…, as root, in a mount namespace
# of its own.
#
# Everything happens in a network namespace of its own, and in a cgroup through which whatever the tests leave behind
# is found and ended, however they end. A container's first process, for one, does not mind Ctrl-C.
set -eu

root=$(mktemp -d)
# A view of cgroup v2 of our own: not every machine has it at the usual place.
mount -t cgroup2 cgroup2 "$root"
home=$root$(sed -n 's/^0:://p' /proc/self/cgroup)
group=$root/macvlan-trace-test.$$
mkdir "$group"

finish() {
    trap - EXIT
    # First this shell leaves the group, then all that is in it ends.
    echo $$ >"$home/cgroup.procs"
    tries=50
    until find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null && [ ! -e "$group" ]; do
        [ $((tries -= 1)) -gt 0 ] || break
        find "$group" -name cgroup.procs -exec cat {} \; 2>/dev/null | while read -r pid; do
            kill -KILL "$pid" 2>/dev/null || :
        done
        sleep 0.1
    done
    umount "$root" && rmdir "$root"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

echo $$ >"$group/cgroup.procs"
# In the background, so that the traps above act at once.
unshare --net --mount --propagation private sh -c '
    # Named namespaces of the machine stay out of sight, and those of the tests vanish with this namespace.
    mkdir -p /run/netns
    mount -t tmpfs -o mode=755 netns /run/netns
    ip link set lo up
    exec "$@"
' sh "$@" &
wait $!
