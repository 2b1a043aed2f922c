# SPDX-License-Identifier: Apache-2.0
"""The comparator, on rows written by hand."""

from __future__ import annotations

import copy

import pytest

from . import readings
from .readings import (
    AtLeast,
    Beginning,
    Congruent,
    FormError,
    Inner,
    Option,
    Reading,
    Silent,
    Tunnel,
    compare,
    read_row,
)

ROW = {
    "capture": "x.pcap",
    "frame": 1,
    "point": "x",
    "time_ns": 1_500_000_000_000_000_001,
    "captured_bytes": 120,
    "wire_bytes": 140,
    "layers": ["ethernet", "ipv4", "udp", "geneve", "ethernet", "ipv6", "tcp"],
    "tunnels": [
        {
            "kind": "geneve",
            "vni": 5,
            "source": "192.0.2.1",
            "destination": "192.0.2.2",
            "source_port": 40000,
            "destination_port": 6081,
            "overhead_bytes": 58,
            "options": [{"class": 258, "type": 128, "critical": True, "data": "00010002"}],
            "version": 0,
            "oam": False,
            "critical": True,
            "protocol": 0x6558,
        }
    ],
    "inner": {
        "source": "2001:db8::1",
        "destination": "2001:db8::2",
        "protocol": "tcp",
        "source_port": 80,
        "destination_port": 50000,
    },
    "stop": "complete",
    "stop_layer": None,
    "findings": [],
}

READING = Reading(
    captured_bytes=120,
    wire_bytes=140,
    time_ns=1_500_000_000_000_000_001,
    layers=("ethernet", "ipv4", "udp", "geneve", "ethernet", "ipv6", "tcp"),
    tunnels=(
        Tunnel(
            kind="geneve",
            vni=5,
            source="192.0.2.1",
            destination="192.0.2.2",
            source_port=40000,
            destination_port=6081,
            overhead_bytes=58,
            options=(Option(258, 128, "00010002"),),
            flags={"version": 0, "oam": 0, "critical": 1, "protocol": 0x6558},
        ),
    ),
    inner=Inner(
        source="2001:db8::1",
        destination="2001:db8::2",
        protocol=6,
        source_port=80,
        destination_port=50000,
    ),
)


def changed(path, value):
    row = copy.deepcopy(ROW)
    place = row
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return row


def fields(row):
    return [d.field for d in compare("x.pcap", 1, READING, read_row(row))]


def test_row_that_says_the_same_does_not_differ():
    assert compare("x.pcap", 1, READING, read_row(ROW)) == []


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("captured_bytes",), 119, "captured_bytes"),
        (("wire_bytes",), 141, "wire_bytes"),
        (("time_ns",), 1_500_000_000_000_000_000, "time_ns"),
        (("time_ns",), None, "time_ns"),
        (("layers",), ["ethernet", "ipv4", "udp"], "layers"),
        (("tunnels",), [], "tunnels"),
        (("tunnels", 0, "kind"), "vxlan", "tunnels"),
        (("tunnels", 0, "vni"), 6, "tunnels[0].vni"),
        (("tunnels", 0, "vni"), None, "tunnels[0].vni"),
        (("tunnels", 0, "source"), "192.0.2.9", "tunnels[0].source"),
        (("tunnels", 0, "destination"), "192.0.2.9", "tunnels[0].destination"),
        (("tunnels", 0, "source_port"), 1, "tunnels[0].source_port"),
        (("tunnels", 0, "destination_port"), None, "tunnels[0].destination_port"),
        (("tunnels", 0, "overhead_bytes"), 50, "tunnels[0].overhead_bytes"),
        (("tunnels", 0, "options"), [], "tunnels[0].options"),
        (("tunnels", 0, "options", 0, "class"), 259, "tunnels[0].options"),
        (("tunnels", 0, "options", 0, "data"), "00010003", "tunnels[0].options"),
        (("tunnels", 0, "oam"), True, "tunnels[0].oam"),
        (("tunnels", 0, "critical"), False, "tunnels[0].critical"),
        (("tunnels", 0, "protocol"), 0x0800, "tunnels[0].protocol"),
        (("inner",), None, "inner"),
        (("inner", "source"), "2001:db8::9", "inner.source"),
        (("inner", "destination"), "2001:db8::9", "inner.destination"),
        (("inner", "protocol"), "udp", "inner.protocol"),
        (("inner", "protocol"), "7", "inner.protocol"),
        (("inner", "source_port"), None, "inner.source_port"),
        (("inner", "destination_port"), 1, "inner.destination_port"),
    ],
)
def test_each_field_that_differs_is_named(path, value, field):
    assert fields(changed(path, value)) == [field]


def test_order_of_options_matters():
    two = [
        {"class": 258, "type": 1, "critical": False, "data": ""},
        {"class": 258, "type": 128, "critical": True, "data": "00010002"},
    ]
    assert fields(changed(("tunnels", 0, "options"), two)) == ["tunnels[0].options"]


def test_addresses_are_compared_by_value():
    row = changed(("inner", "source"), "2001:0db8:0::0:1")
    assert fields(row) == []


def test_protocol_may_come_by_name_or_number():
    assert fields(changed(("inner", "protocol"), "6")) == []
    assert fields(changed(("inner", "protocol"), 6)) == []


def test_difference_holds_both_readings():
    (difference,) = compare("x.pcap", 1, READING, read_row(changed(("tunnels", 0, "vni"), 6)))
    assert (difference.truth, difference.ours) == ("5", "6")


@pytest.mark.parametrize(
    "row",
    [
        {key: value for key, value in ROW.items() if key != "inner"},
        changed(("captured_bytes",), "120"),
        changed(("time_ns",), 1.5e18),
        changed(("inner", "source"), "nowhere"),
        changed(("inner", "protocol"), "no-such-protocol"),
        changed(("tunnels", 0, "options", 0, "critical"), False),
        changed(("tunnels",), None),
        changed(("inner",), {"source": "2001:db8::1"}),
    ],
)
def test_row_of_another_form_is_refused(row):
    with pytest.raises(FormError):
        read_row(row)


def test_ceiling_of_the_dissector_allows_only_more():
    assert AtLeast(100).agrees(100)
    assert AtLeast(100).agrees(101)
    assert not AtLeast(100).agrees(99)
    assert not AtLeast(100).agrees(None)


def test_wrapped_fraction_allows_only_what_wraps_to_it():
    # 0x20202020 µs, multiplied by 1000 in 32 bits.
    wrapped = Congruent(7, 0x20202020 * 1000 % 2**32)
    assert wrapped.agrees(7 * 10**9 + 0x20202020 * 1000)
    assert not wrapped.agrees(7 * 10**9 + 0x20202020 * 1000 + 1)
    assert not wrapped.agrees(8 * 10**9 + 0x20202020 * 1000)
    assert not wrapped.agrees(None)
    assert not Congruent(7, 5).agrees(7 * 10**9 + 5 - 2**32)


def test_layers_may_go_on_with_what_is_not_decoded():
    begins = Beginning(("ethernet", "ipv4"))
    assert begins.agrees(("ethernet", "ipv4"))
    assert begins.agrees(("ethernet", "ipv4", "gre"))
    assert not begins.agrees(("ethernet", "ipv4", "gre", "ipv4"))
    assert not begins.agrees(("ethernet",))
    assert not begins.agrees(("ethernet", "vlan", "ipv4"))


def test_silence_is_reported():
    inner = Inner(
        source="192.0.2.1",
        destination="192.0.2.2",
        protocol=Silent("why"),
        source_port=None,
        destination_port=None,
    )
    truth = Reading(captured_bytes=1, wire_bytes=1, time_ns=0, layers=(), tunnels=(), inner=inner)
    assert readings.silences(truth) == [("inner.protocol", "why")]
    assert readings.silences(READING) == []
