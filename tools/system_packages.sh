#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Install the outside programs that tests compare with, where that is possible without asking.
#
# None of them is needed to run genevecap (tshark is, by `genevecap verify`).  Where one cannot be
# installed, the tests that need it are skipped and say so; this script never fails.
set -u

missing=""
need() { # command, Debian package
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
# Daemons live in folders that are not on every user's PATH.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
need tshark tshark
need tcpdump tcpdump
need ovs-vswitchd openvswitch-switch
need ip iproute2
need iptables iptables
need clang clang
# What the lab's eBPF programs include.
[ -e /usr/include/bpf/bpf_helpers.h ] || missing="$missing libbpf-dev"
need ipset ipset
need sysctl procps
need zstd zstd
need zsh zsh
need fish fish

[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "not installed (tests that need them will be skipped):$missing" >&2
    exit 0
fi

export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
    # Packet capture by other users is none of our business: the default answer, given beforehand.
    echo "wireshark-common wireshark-common/install-setuid boolean false" | debconf-set-selections
    # $missing is a list of words.
    # shellcheck disable=SC2086
    apt-get update -q && apt-get install -q -y --no-install-recommends $missing
}
if install >"$log" 2>&1 </dev/null; then
    echo "installed:$missing"
else
    tail -n 5 "$log" >&2
    echo "could not install (tests that need them will be skipped):$missing" >&2
fi
exit 0
