# What tracing costs, as ratios in one run: each load with the tracer and without by turns, and the shortest of each.
#
#     cargo xtask vm --copy xtask/bench.sh -- sh /mnt/bench.sh

rounds=5

now() { read -r up rest < /proc/uptime; echo "${up%.*}${up#*.}"; }

# Attaches a tracer; hundredths of a second until its first record.
attach() {
    begin=$(now)
    macvlan-trace -o json -e all > /tmp/records &
    tracer=$!
    until [ -s /tmp/records ]; do busybox usleep 10000; done
    echo $(($(now) - begin))
}

detach() {
    kill -INT $tracer
    wait $tracer
    tail -n 1 /tmp/records | grep -q '"lost":0' || echo "records were lost"
}

# Processes start, end, are signalled and enter a namespace, none of which is watched.
processes() {
    n=0
    while [ $n -lt 150 ]; do
        ( : )
        kill -CONT $$ $$ $$ $$ $$ $$ $$ $$
        nsenter --net=/proc/1/ns/net true
        n=$((n + 1))
    done
}

# Links are made, and go with their parent.
links() {
    /usr/bin/ip link add par0 type dummy
    /usr/bin/ip -batch /tmp/links
    /usr/bin/ip link del par0
}

n=0
while [ $n -lt 2000 ]; do
    echo "link add mv$n link par0 type macvlan"
    n=$((n + 1))
done > /tmp/links

# One link in a namespace, so that there is something to watch.
/usr/bin/ip netns add watched
/usr/bin/ip link add lower0 type dummy
/usr/bin/ip link add mv-watched link lower0 netns watched type macvlan

attach > /tmp/start
grep VmHWM /proc/$tracer/status
detach
echo "start: $(cat /tmp/start)0 ms to the first record"

for load in processes links; do
    alone=
    traced=
    round=0
    while [ $round -lt $rounds ]; do
        begin=$(now); $load; took=$(($(now) - begin))
        [ -n "$alone" ] && [ "$alone" -le $took ] || alone=$took
        attach > /dev/null
        begin=$(now); $load; took=$(($(now) - begin))
        [ -n "$traced" ] && [ "$traced" -le $took ] || traced=$took
        detach
        round=$((round + 1))
    done
    echo "$load: alone ${alone}0 ms, traced ${traced}0 ms, $((traced * 100 / alone)) %"
done
