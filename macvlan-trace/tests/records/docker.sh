# Recorded by -w in the real guest: sh THIS TRACER. `docker stop` of a process that does not heed it, and a container
# that exits with 3. The record goes to standard output.
set -eu
tracer=$1
{
    dockerd --shutdown-timeout 120 >/tmp/dockerd.log 2>&1 &
    until docker version >/dev/null 2>&1; do sleep 0.2; done
    docker import /usr/share/guest/alpine.tar alpine:latest
    ip link set eth0 up
    docker network create --driver macvlan --subnet 192.168.1.0/24 --opt parent=eth0 mv
} >/dev/null 2>&1
$tracer -w /tmp/r.rec -e all -o json -- sh -c '
    docker run -d --name web --network mv alpine sh -c "exec sleep 1000"
    sleep 2
    docker stop --time 1 web
    docker run --name db --network mv alpine sh -c "exit 3" || :
    sleep 2
' 2>/tmp/said | grep "^{" >/tmp/live.json
$tracer replay /tmp/r.rec -e all -o json | cmp - /tmp/live.json
cat /tmp/r.rec
