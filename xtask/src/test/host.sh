# Runs the kernel tests on this machine's own kernel: sh -s PROGRAM ARGUMENTS…, as root.
#
# Everything happens in a network and a mount namespace of its own and, where there is cgroup v2, in a cgroup of its
# own, through which whatever the tests leave behind is found and ended, however they end.
set -u

group=
finish() {
    trap - EXIT
    if [ -n "$group" ]; then
        # This shell has to be out of the group before everything in it is ended.
        echo $$ >"$home/cgroup.procs"
        find "$group" -name cgroup.procs -exec cat {} + | while read -r pid; do kill -KILL "$pid"; done 2>/dev/null
        # A group can go only when its last process is gone for good.
        tries=50
        until find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || [ $((tries -= 1)) -eq 0 ]; do sleep 0.1; done
    fi
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
    home=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
    group=/sys/fs/cgroup/macvlan-trace-test.$$
    mkdir "$group" && echo $$ >"$group/cgroup.procs" || exit
fi

# In the background, so that the traps above act at once.
unshare --net --mount --propagation private sh -c '
    # Named namespaces of the machine stay out of sight, and those of the tests vanish with this namespace.
    mkdir -p /run/netns && mount -t tmpfs -o mode=755 netns /run/netns || exit
    ip link set lo up || exit
    exec "$@"
' sh "$@" &
wait $!
