#!/bin/sh
# Two hosts on one machine, each with a network of its own and an address in it, and a cable between them.
# Usage: unshare --user --map-root-user --net sh two_hosts.sh FIRST SECOND [FILE]
# Runs the shell command FIRST on the host 10.77.0.1 and SECOND on 10.77.0.2, whose network devices are named in
# GLOO_SOCKET_IFNAME; pulls the cable a second after FILE appears, if one is given. Ends with 0 if both commands did.
set -e
ip link set lo up
unshare --net sleep 600 &
other=$!
trap 'kill $other' EXIT
while [ "$(readlink /proc/$other/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
ip link add first type veth peer name second netns $other
ip address add 10.77.0.1/24 dev first
ip link set first up
nsenter --target $other --net sh -c 'ip link set lo up; ip address add 10.77.0.2/24 dev second; ip link set second up'
GLOO_SOCKET_IFNAME=first sh -c "$1" &
one=$!
GLOO_SOCKET_IFNAME=second nsenter --target $other --net sh -c "$2" &
two=$!
if [ -n "$3" ]; then
    while [ ! -e "$3" ] && kill -0 $one; do sleep 0.1; done
    sleep 1
    ip link set first down
fi
result=0
wait $one || result=1
wait $two || result=1
exit $result
