# Recorded by -w in the small guest: sh THIS TRACER IP. A main process that exits with 3, one that is killed,
# `ip netns del`, a link that is set down and up, its parent down, up and deleted. The record goes to standard output.
set -eu
tracer=$1 ip=$2
$tracer -w /tmp/r.rec -e all -o json -- sh -c '
    ip=$1
    $ip link add par0 type dummy
    $ip link set par0 up
    contain() {
        mkfifo /tmp/in
        unshare -p -f -n sh -c "$1" </tmp/in &
        exec 3>/tmp/in
        until [ -n "$(cat /proc/$!/task/$!/children 2>/dev/null)" ]; do :; done
        read -r init rest <"/proc/$!/task/$!/children"
        $ip link add mv0 link par0 type macvlan
        $ip link set mv0 netns "$init"
    }
    contain "read line; $ip link set mv0 up; exit 3"
    echo go >&3; exec 3>&-; wait; rm /tmp/in
    contain "read line"
    kill -9 "$init"; exec 3>&-; wait || :; rm /tmp/in
    $ip netns add blue
    $ip link add mv1 link par0 type macvlan
    $ip link set mv1 netns blue
    $ip netns del blue
    $ip link add mv2 link par0 type macvlan
    $ip link set mv2 up; $ip link set mv2 down; $ip link set mv2 up
    $ip link set par0 down; $ip link set par0 up
    $ip link del par0
    sleep 1
' sh "$ip" >/tmp/live.json
$tracer replay /tmp/r.rec -e all -o json | cmp - /tmp/live.json
cat /tmp/r.rec
