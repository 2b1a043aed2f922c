# SPDX-License-Identifier: Apache-2.0
"""Clocks, truth and the command line: what happens to a run's files and logs."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from tests.lab import captures
from tests.lab.mesh import __main__ as command_line
from tests.lab.mesh import clocks, events, run, truth
from tests.lab.mesh.scenario import VARIANTS, Clock, scenario
from tests.lab.namespaces import LabError

# --- clocks -----------------------------------------------------------------------------------


BEGAN_NS = 1_790_000_000_000_000_000
CLOCK = Clock(offset_ns=-137_000_001, drift_ppm=40.0)


def shown_by_hand(true_ns: int) -> int:
    return true_ns - 137_000_001 + (true_ns - BEGAN_NS) * 40 // 1_000_000


def test_a_classic_capture_by_another_clock():
    header = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)
    times_ns = [BEGAN_NS, BEGAN_NS + 5_000_000_000]

    def capture(times):
        records = [struct.pack("<IIII", *divmod(t, 10**9), 3, 60) + b"abc" for t in times]
        return header + b"".join(records)

    changed = clocks.rewritten(capture(times_ns), clocks.reading(CLOCK, BEGAN_NS))
    assert changed == capture([shown_by_hand(t) for t in times_ns])


def block(kind: int, body: bytes) -> bytes:
    size = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + size + body + size


def pcapng(times, resolution=9):
    options = struct.pack("<HHB3x", 9, 1, resolution) + bytes(4)
    blocks = [
        block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)),
        block(1, struct.pack("<HHI", 1, 0, 65535) + options),
    ]
    halves = [struct.pack("<II", t >> 32, t & 0xFFFFFFFF) for t in times]
    blocks += [
        block(6, struct.pack("<I", 0) + half + struct.pack("<II", 4, 60) + b"abcd")
        for half in halves
    ]
    start = struct.pack("<HH", 2, 8) + halves[0] + struct.pack("<HHq", 4, 8, 17) + bytes(4)
    blocks.append(block(5, struct.pack("<I", 0) + halves[-1] + start))
    return b"".join(blocks)


def test_a_pcapng_by_another_clock():
    times_ns = [BEGAN_NS, BEGAN_NS + 5_000_000_000]
    changed = clocks.rewritten(pcapng(times_ns), clocks.reading(CLOCK, BEGAN_NS))
    assert changed == pcapng([shown_by_hand(t) for t in times_ns])


def test_captures_the_lab_does_not_make_are_refused():
    with pytest.raises(LabError, match="not in nanoseconds"):
        clocks.rewritten(pcapng([BEGAN_NS], resolution=6), lambda t: t)
    with pytest.raises(LabError, match="d4 c3 b2 a1"):
        clocks.rewritten(bytes.fromhex("d4c3b2a1") + bytes(20), lambda t: t)


# --- truth ------------------------------------------------------------------------------------


def write(path: Path, *lines: dict) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def logs(tmp_path):
    """Logs of cli's first connection, as clients, servers and proxies write them."""
    conn2 = {"client": "10.244.1.4:2000", "destination": "10.244.2.5:15008"}
    write(events.client_log(tmp_path, "cli"),
          {"t_ns": 5, "event": "connected", "name": "cli-001", "local": "10.244.1.4:1000",
           "target": ["10.244.2.5", 8080], "kind": "new", "t_connect": 4, "t_connected": 5},
          {"t_ns": 90, "event": "request", "name": "cli-001", "id": "cli-001-1", "t_send": 6,
           "t_first": 89, "t_done": 90, "send_bytes": 7, "receive_bytes": 611},
          {"t_ns": 91, "event": "ended", "name": "cli-001", "how": "close"})  # fmt: skip
    write(events.server_log(tmp_path, "srv"),
          {"t_ns": 60, "event": "request", "id": "cli-001-1", "peer": "10.244.1.4:3000",
           "t_received": 40, "t_body": 41, "t_sent": 50})  # fmt: skip
    write(events.proxy_log(tmp_path, "ztunnel-cli"),
          {"t_ns": 5, "event": "accept", "connection": 1, "listener": "outbound",
           "client": "10.244.1.4:1000", "destination": "10.244.2.5:8080"},
          {"t_ns": 9, "event": "connect_sent", "connection": 1, "conn2": conn2, "stream": 1,
           "reused": False, "authority": "10.244.2.5:8080"},
          {"t_ns": 30, "event": "connect_response", "connection": 1, "status": 200},
          {"t_ns": 32, "event": "chunk", "connection": 1, "direction": "up", "in_ns": 31,
           "out_ns": 32, "bytes": 130, "kernel_rx_ns": None, "kernel_tx_ns": 33})  # fmt: skip
    write(events.proxy_log(tmp_path, "ztunnel-srv"),
          {"t_ns": 15, "event": "connect_received", "connection": 1, "conn2": conn2, "stream": 1},
          {"t_ns": 17, "event": "established", "connection": 1,
           "conn3": {"client": "10.244.1.4:3000", "destination": "10.244.2.5:8080"}})  # fmt: skip
    return tmp_path


def first_flow(folder):
    return truth.gather(scenario("in-pod"), folder, {})["flows"][0]


def test_the_three_legs_are_put_together(logs):
    flow = first_flow(logs)
    assert flow["conn1"]["client"] == "10.244.1.4:1000"
    assert (flow["conn2"]["client"], flow["conn2"]["stream"]) == ("10.244.1.4:2000", 1)
    assert flow["conn3"]["client"] == "10.244.1.4:3000"
    assert (flow["session_kind"], flow["outcome"]) == ("hbone", "completed")
    assert flow["ztA_up"] == [[31, 32, 130, None, 33]]
    assert "redirected_as" not in flow["conn1"]


def test_a_port_that_nat_changed_is_noted(logs):
    path = events.proxy_log(logs, "ztunnel-cli")
    path.write_text(path.read_text().replace("10.244.1.4:1000", "10.244.1.4:31015"))
    assert first_flow(logs)["conn1"]["redirected_as"] == "10.244.1.4:31015"


def test_a_connection_the_proxies_refused(logs):
    with events.proxy_log(logs, "ztunnel-srv").open("a") as log:
        log.write('{"t_ns": 18, "event": "refused", "connection": 1}\n')
    assert first_flow(logs)["outcome"] == "refused"


def test_logs_that_disagree_are_no_truth(logs):
    path = events.server_log(logs, "srv")
    path.write_text(path.read_text().replace("10.244.1.4:3000", "10.244.1.6:3000"))
    with pytest.raises(LabError, match=r"the server saw 10\.244\.1\.6:3000, the proxies' logs say"):
        first_flow(logs)


def test_quantiles():
    assert truth.quantiles_ms(n * 1e6 for n in range(101)) == {
        "min": 0.0, "p50": 50.0, "p95": 95.0, "max": 100.0
    }  # fmt: skip


# --- recorders and the command line -----------------------------------------------------------


def test_only_unread_packets_are_forgiven_at_the_end():
    said = "1650 packets captured\n1654 packets received by filter\n2 packets dropped by kernel\n"
    assert captures.drops_in(said) - captures.unread_in(said) == 2


def test_the_list_names_every_variant(capsys):
    assert command_line.main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert [line.split()[0] for line in listed.splitlines()] == list(VARIANTS)
    assert "(iptables-geneve only)" in listed


def test_a_folder_with_files_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine.pcap").write_text("keep")
    assert command_line.main([str(tmp_path)]) == 1
    assert "is not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.pcap"]


def test_where_the_machine_cannot_the_reason_is_told(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(run, "why_unavailable", lambda tools: "network namespaces need root")
    assert command_line.main([str(tmp_path / "new")]) == 2
    assert "need root" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_variant_of_another_mode_is_a_usage_error(tmp_path, capsys):
    assert command_line.main(["--mode", "ebpf", "--variant", "ipv6", str(tmp_path / "new")]) == 2
    assert "in-pod only" in capsys.readouterr().err
