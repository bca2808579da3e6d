#!/bin/sh
# SPDX-License-Identifier: MIT
# Called by udhcpc: sets the address and default route it was given, with the interface's METRIC.
# Takes away only what it gave itself: others may have addresses on the interface too.
set -u
lease="$RUN/lease-$interface"

remove() {
	[ -e "$lease" ] || return 0
	ip route del default dev "$interface" metric "$METRIC" proto dhcp 2>/dev/null
	ip addr del "$(cat "$lease")" dev "$interface" 2>/dev/null
	rm -f "$lease"
}

case "$1" in
deconfig)
	remove
	;;
bound | renew)
	if [ "$(cat "$lease" 2>/dev/null)" != "$ip/$mask" ]; then
		remove
		ip addr add "$ip/$mask" brd + dev "$interface" metric "$METRIC"
		echo "$ip/$mask" >"$lease"
	fi
	[ -z "${router:-}" ] ||
		ip route replace default via "${router%% *}" dev "$interface" metric "$METRIC" proto dhcp
	;;
esac
