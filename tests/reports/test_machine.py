# SPDX-License-Identifier: Apache-2.0
"""The keys of the contract, written out once more by hand."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest

from genevecap.reports import machine

from .made import CAPTURE, DAMAGE, PACKET, RESULT, START_NS


def document(result):
    return json.loads("".join(machine.json_pieces(machine.inspect_document(result))))


CONTRACT_KEYS = {
    "captures": "path format compression packets captured_bytes wire_bytes first_ns last_ns "
    "cut_short damage points",
    "tunnels": "kind vni source destination port depth packets wire_bytes overhead_bytes "
    "inner_flows first_ns last_ns",
    "options": "class class_name type name critical data_bytes packets occurrences",
    "top_flows": "vni source destination protocol source_port destination_port packets wire_bytes",
    "findings": "code severity message packets frames display_filter details",
}


@pytest.mark.parametrize(("name", "keys"), CONTRACT_KEYS.items())
def test_every_key_of_the_contract_is_there(name: str, keys: str):
    for row in document(RESULT)[name]:
        assert set(keys.split()) <= set(row)


def test_the_rest_of_the_summary():
    summary = document(RESULT)
    assert summary["schema"] == "genevecap/inspect/1"
    assert summary["stops"] == {
        "complete": 37,
        "truncated": 2,
        "malformed": 0,
        "unsupported": 1,
        "too_deep": 0,
        "fragment": 0,
    }
    assert summary["ambient"] == {
        "mode": "iptables-geneve",
        "evidence": ["VNI 1000 between two pods"],
    }
    assert summary["captures"][0]["points"][0] == {
        "name": "node-a/eth0",
        "interface": "eth0",
        "link_type": "ETHERNET",
        "packets": 40,
        "dropped": 3,
        "dropped_by_dumpcap": None,
        "role": None,
    }
    assert summary["findings"][0]["frames"] == [{"capture": "node-a.pcapng.gz", "frame": 12}]
    assert summary["findings"][0]["details"] == []
    assert summary["options"][0]["class"] == 0x0102
    assert summary["options"][0]["type"] == 0x80
    assert summary["captures"][0]["first_ns"] == START_NS


def test_damage():
    damaged = replace(RESULT, captures=(replace(CAPTURE, damage=DAMAGE, cut_short=True),))
    capture = document(damaged)["captures"][0]
    assert capture["cut_short"] is True
    assert capture["damage"] == {"record": 7, "offset": 0x1F3A0, "needed": 1514, "had": 96}


def test_one_list_only():
    text = "".join(machine.json_pieces(machine.inspect_document(RESULT, "options")))
    assert list(json.loads(text)) == ["schema", "options"]


def test_json_is_ascii_and_one_item_a_line():
    named = replace(RESULT, captures=(replace(CAPTURE, path="\x1b[2Jcaf\udce9\u202e\n"),))
    text = "".join(machine.json_pieces(machine.inspect_document(named)))
    assert text.isascii()
    assert "\x1b" not in text
    assert json.loads(text)["captures"][0]["path"] == "\x1b[2Jcaf\udce9\u202e\n"
    assert text.count("\n") < 40


def test_an_iterator_becomes_a_list():
    pieces = machine.json_pieces({"schema": "s", "rows": iter([1, {"a": None}]), "none": iter(())})
    assert json.loads("".join(pieces)) == {"schema": "s", "rows": [1, {"a": None}], "none": []}


@pytest.mark.parametrize("name", machine.TABLES)
def test_each_list_is_rows_in_all_formats(name: str):
    rows = machine.table_rows(RESULT, name)
    assert rows
    lines = "".join(machine.ndjson_pieces(rows)).splitlines()
    assert [json.loads(line) for line in lines] == json.loads(json.dumps(rows))
    cells = list(csv.DictReader(io.StringIO("".join(machine.table_csv(RESULT, name)))))
    assert len(cells) == len(rows)
    assert tuple(cells[0]) == machine.CSV_COLUMNS[name]


def test_csv_of_captures_is_flat():
    damaged = replace(RESULT, captures=(replace(CAPTURE, damage=DAMAGE),))
    (row,) = csv.DictReader(io.StringIO("".join(machine.table_csv(damaged, "captures"))))
    assert row["damage_offset"] == str(0x1F3A0)
    assert row["points"] == "2"
    assert row["cut_short"] == "false"


def test_csv_cells_cannot_act_on_a_terminal_nor_break_the_row():
    point = replace(CAPTURE.points[0], name="a\x1b[31m\nb")
    named = replace(RESULT, captures=(replace(CAPTURE, points=(point,)),))
    lines = "".join(machine.table_csv(named, "points")).splitlines()
    assert len(lines) == 2
    assert r"a\x1b[31m\nb" in lines[1]


def test_stops_name_their_layers_and_leave_nothing_out():
    rows = machine.table_rows(RESULT, "stops")
    assert {"stop": "truncated", "layer": "tcp", "packets": 2} in rows
    assert sum(row["packets"] for row in rows) == 40
    unknown = machine.table_rows(replace(RESULT, stop_layers=()), "stops")
    assert {"stop": "truncated", "layer": None, "packets": 2} in unknown


def test_a_packet():
    assert machine.packet_row(PACKET) == {
        "capture": "node-a.pcapng.gz",
        "frame": 12,
        "point": "node-a/eth0",
        "time_ns": START_NS,
        "captured_bytes": 124,
        "wire_bytes": 1500,
        "layers": ["ethernet", "ipv4", "udp", "geneve", "ethernet", "ipv4", "tcp"],
        "tunnels": [
            {
                "kind": "geneve",
                "vni": 1000,
                "source": "10.244.1.1",
                "destination": "10.244.1.2",
                "source_port": 683,
                "destination_port": 6081,
                "overhead_bytes": 58,
                "options": [{"class": 258, "type": 128, "critical": True, "data": "00050003"}],
                "version": 0,
                "oam": False,
                "critical": True,
                "protocol": 0x6558,
            }
        ],
        "inner": {
            "source": "10.244.1.4",
            "destination": "10.244.2.5",
            "protocol": "tcp",
            "source_port": 53696,
            "destination_port": 8080,
        },
        "stop": "complete",
        "stop_layer": None,
        "findings": ["G08"],
    }


def test_packets_as_csv():
    bare = replace(PACKET, tunnels=(), inner=None, time_ns=None)
    nested = replace(PACKET, tunnels=(PACKET.tunnels[0], replace(PACKET.tunnels[0], vni=None)))
    text = "".join(machine.packet_csv([PACKET, bare, nested]))
    first, second, third = csv.DictReader(io.StringIO(text))
    assert first["layers"] == "ethernet:ipv4:udp:geneve:ethernet:ipv4:tcp"
    assert first["options"] == "258/128/00050003"
    assert first["inner_destination_port"] == "8080"
    assert second["vni"] == second["time_ns"] == second["inner_source"] == ""
    assert third["vni"] == "1000;"
    assert third["tunnel_kind"] == "geneve;geneve"
