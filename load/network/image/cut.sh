#!/bin/sh
# Takes pods, or a host, off this node's network, and puts them back: at the moment that is given, when it is told to end, and also when
# it was killed meanwhile and is started again. What puts them back is written down before anything is cut.
#
#   cut <until> pods <address>…    the node's end of each pod's cable is unplugged
#   cut <until> host <name>        no packet finds a way there
#
# <until> is in seconds since the epoch. The file `done` says that all of it is cut.
set -eu
state=${CUT_STATE:-/run/cut}
until=$1 what=$2
shift 2

fail() {
  echo "$1" >&2
  exit 1
}

# The interface by which the node reaches a pod: its own, or a port of a bridge.
cable() {
  device=$(ip -oneline route get "$1" | sed -n 's/.* dev \([^ ]*\).*/\1/p')
  if [ -n "$(ip -oneline link show dev "$device" type bridge)" ]; then
    address=$(ip -oneline neigh show "$1" dev "$device" | sed -n 's/.* lladdr \([^ ]*\).*/\1/p')
    [ -n "$address" ] || fail "The node has not spoken with $1 of late"
    device=$(bridge fdb show br "$device" | sed -n "s/^$address dev \([^ ]*\) master.*/\1/p" | head -n 1)
  fi
  # Never the node's own way out.
  case $device in
    veth* | cali* | eni* | lxc*) echo "$device" ;;
    *) fail "The cable of $1 is not known: '$device'" ;;
  esac
}

# What cuts, and before it what mends, as arguments of ip.
cut() {
  echo "$1" >>"$state/mend"
  # shellcheck disable=SC2086
  ip $2
}

mend() {
  [ ! -f "$state/mend" ] || while read -r arguments; do
    # shellcheck disable=SC2086
    ip $arguments || true # what is gone needs no mending
  done <"$state/mend"
  rm -f "$state/mend" "$state/done"
}

trap 'mend; exit 0' TERM INT
trap 'mend' EXIT

if [ ! -e "$state/done" ]; then
  mend # half of it, of a start before
  case $what in
    pods)
      for each in "$@"; do
        device=$(cable "$each")
        cut "link set dev $device up" "link set dev $device down"
      done
      ;;
    host)
      addresses=$(getent ahostsv4 "$1" | awk '{ print $1 }' | sort -u)
      [ -n "$addresses" ] || fail "'$1' has no address"
      for each in $addresses; do cut "route del unreachable $each/32" "route replace unreachable $each/32"; done
      ;;
    *) fail "Cannot cut '$what'" ;;
  esac
  touch "$state/done"
fi

while [ "$(date +%s)" -lt "$until" ]; do
  sleep 1 &
  wait $! # a signal ends this at once, and not a sleep
done
