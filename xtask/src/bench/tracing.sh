# What tracing costs: each load with the tracer and without it by turns, and the shortest time of each. sh -c THIS, as
# root, in busybox's shell.
set -eu

rounds=4
ip=/usr/bin/ip
scratch=$(mktemp -d)
records=$scratch/records

# Hundredths of a second since the start.
now() {
    read -r up rest </proc/uptime
    echo "${up%.*}${up#*.}"
}

attach() {
    rm -f "$records"
    macvlan-trace -o json -e all >"$records" &
    tracer=$!
    until [ -s "$records" ]; do busybox usleep 10000; done
}

# A shell's child in the background ignores SIGINT.
detach() {
    kill -TERM "$tracer"
    wait "$tracer" || :
    case $(tail -n 1 "$records") in
        *'"lost":0,'*) ;;
        *) echo "records were lost" ;;
    esac
}

# The processes that a machine starts and ends, in a namespace that is not watched.
processes() {
    n=0
    while [ $n -lt 400 ]; do
        (:)
        n=$((n + 1))
    done
}

# Signals that nothing watched gets.
signals() {
    n=0
    while [ $n -lt 4000 ]; do
        kill -CONT $$ $$ $$ $$
        n=$((n + 1))
    done
}

# Commands in a namespace that is not watched.
visits() {
    n=0
    while [ $n -lt 100 ]; do
        nsenter --net="/proc/$$/ns/net" true
        n=$((n + 1))
    done
}

# Links that are made and go with their parent, each of them two events.
links() {
    $ip link add par0 type dummy
    $ip -batch "$scratch/links"
    $ip link del par0
}

n=0
while [ $n -lt 2000 ]; do
    echo "link add mv$n link par0 type macvlan"
    n=$((n + 1))
done >"$scratch/links"

# Something to watch, in a namespace of its own.
$ip netns add watched
$ip link add lower0 type dummy
$ip link add mv0 link lower0 netns watched type macvlan

best() { [ -n "$1" ] && [ "$1" -le "$2" ] && echo "$1" || echo "$2"; }

# The second time counts: an emulator translates the kernel anew after hooks have come or gone.
timed() {
    "$1"
    begin=$(now)
    "$1"
    echo $(($(now) - begin))
}

# How often the tracer's programs have run, and for how many microseconds.
spent() {
    cat /proc/"$tracer"/fdinfo/* 2>/dev/null |
        awk '$1 == "run_cnt:" { runs += $2 } $1 == "run_time_ns:" { time += $2 } END { print runs, int(time / 1000) }'
}

start=
for load in processes signals visits links; do
    alone=
    traced=
    round=0
    while [ $round -lt $rounds ]; do
        alone=$(best "$alone" "$(timed $load)")
        begin=$(now)
        attach
        start=$(best "$start" $(($(now) - begin)))
        traced=$(best "$traced" "$(timed $load)")
        peak=$(awk '$1 == "VmHWM:" { print int($2 / 1024) }' "/proc/$tracer/status")
        round=$((round + 1))
        # Counting costs time too.
        if [ $round -eq $rounds ]; then
            echo 1 >/proc/sys/kernel/bpf_stats_enabled
            begin=$(now)
            $load
            took=$(($(now) - begin))
            echo 0 >/proc/sys/kernel/bpf_stats_enabled
            set -- $(spent)
        fi
        detach
    done
    [ "$1" -gt 0 ] || set -- 1 "$2"
    echo "$load: ${alone}0 ms alone, ${traced}0 ms traced, $((traced * 100 / alone)) %; $1 programs ran," \
        "$(($2 * 1000 / $1)) ns each, $(($2 / (took * 100))) % of the time; $peak MB at most"
done
echo "start to first record: ${start}0 ms"
