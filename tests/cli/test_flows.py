# SPDX-License-Identifier: Apache-2.0
"""cli/flows and reports/flows, no_sessions: `genevecap flows` as it is called."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from genevecap.cli.main import main
from genevecap.reports.flows import CSV_COLUMNS, TABLES
from tests.build import packets as p
from tests.build.captures import Pcapng, pcap

KINDS = {"hbone", "waypoint", "multi-network", "passthrough", "plaintext-inbound", "unlinked"}
OUTCOMES = {
    "completed", "refused", "denied", "unreachable", "aborted", "timeout", "open", "unknown",
}  # fmt: skip
ORIGINS = {"ztunnel", "gateway", "sidecar", "waypoint", "unknown"}
ROLES = {"outbound", "hbone", "inbound", "waypoint"}
MODES = {"iptables-geneve", "ebpf", "in-pod", "mixed", "unknown", "none"}
SEGMENTS = {
    "client-stack", "redirect", "ztunnel-client", "wire", "ztunnel-server", "server", "waypoint",
    "unknown",
}  # fmt: skip
CODES = {
    "keys", "content", "causality", "bytes", "markers", "delays", "log", "closing", "address",
}  # fmt: skip
SESSION = {
    "id": int, "client": str, "destination": str, "server": (str, type(None)), "kind": str,
    "outcome": str, "origin": str, "same_node": (bool, type(None)), "mode": dict,
    "confidence": (int, float), "evidence": list, "legs": list, "timing": dict,
}  # fmt: skip
LEG = {
    "role": str, "source": str, "destination": str, "stream": (int, type(None)), "shared_by": int,
    "confidence": (int, float), "points": list, "packets": (int, type(None)),
    "payload_bytes": (int, type(None)), "first_ns": int, "last_ns": int, "alternatives": list,
}  # fmt: skip
ALTERNATIVE = {
    "source": str, "destination": str, "stream": (int, type(None)), "confidence": (int, float),
}  # fmt: skip
ESCAPE = "\x1b[31m"


def run(*words: object):
    return CliRunner().invoke(main, ["flows", *(str(word) for word in words)])


def document(*words: object):
    done = run(*words, "--format", "json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def paths(samples: Path) -> list[Path]:
    return [samples / "ztunnel-in-pod" / f"{n}.pcapng" for n in ("cli", "cli2", "nA", "nB", "srv")]


@pytest.fixture(scope="module")
def whole(paths):
    return document("--same-clock", *paths)


def has(row, keys):
    """Tell whether a row has these keys with values of these types."""
    return all(isinstance(row[key], kind) for key, kind in keys.items())


# --- the document ---


def test_json_has_what_the_contract_names(whole) -> None:
    assert whole["schema"] == "genevecap/flows/1"
    assert whole["mode"] == "in-pod"
    assert set(TABLES) <= whole.keys()
    assert whole["found"]["hbone"] > 0
    assert len(whole["sessions"]) > 20


def test_every_session_has_what_the_contract_names(whole) -> None:
    for session in whole["sessions"]:
        assert has(session, SESSION)
        assert session["kind"] in KINDS
        assert session["outcome"] in OUTCOMES
        assert session["origin"] in ORIGINS
        assert set(session["mode"]) == {"client", "server"}
        assert set(session["mode"].values()) <= MODES
        assert 0 <= session["confidence"] <= 1
        assert session["evidence"]
        assert {line.split(":")[0] for line in session["evidence"]} <= CODES
        timing = session["timing"]
        assert set(timing) == {"total_ns", "first_byte_ns", "by_segment", "waits"}
        for wait in timing["waits"]:
            assert set(wait) == {"name", "leg", "at_ns", "ns"}
            assert wait["leg"] in {leg["role"] for leg in session["legs"]}
            assert wait["ns"] > 0
        for part in timing["by_segment"]:
            assert part["segment"] in SEGMENTS
            assert isinstance(part["uncertainty_ns"], int)
        if timing["by_segment"]:
            assert sum(part["ns"] for part in timing["by_segment"]) == timing["first_byte_ns"]


def test_every_leg_has_what_the_contract_names(whole) -> None:
    legs = [leg for session in whole["sessions"] for leg in session["legs"]]
    assert {leg["role"] for leg in legs} == {"outbound", "hbone", "inbound"}
    for leg in [*legs, *whole["unlinked_legs"]]:
        assert has(leg, LEG)
        assert leg["role"] in ROLES
        assert leg["first_ns"] <= leg["last_ns"]
        assert leg["points"]
        if leg["shared_by"] > 1 and leg["stream"] is None:
            assert leg["packets"] is leg["payload_bytes"] is None
        for other in leg["alternatives"]:
            assert has(other, ALTERNATIVE)
        assert leg["confidence"] + sum(o["confidence"] for o in leg["alternatives"]) <= 1.001


def test_what_went_around_the_mesh(tmp_path: Path) -> None:
    path = tmp_path / "node.pcapng"
    path.write_bytes(around_the_mesh())
    found = document(path)
    (row,) = found["bypass"]
    assert has(row, {"source": str, "destination": str, "packets": int, "why": str, "frames": list})
    assert (row["source"], row["destination"]) == ("10.244.1.4:41000", "10.244.2.5:8080")
    assert row["frames"][0] == {"capture": str(path), "frame": 9}
    for form in ("table", "csv", "ndjson"):
        assert "10.244.1.4:41000" in run(path, "--table", "bypass", "--format", form).stdout
    assert "Around the mesh" in run(path).stdout


def around_the_mesh() -> bytes:
    """A node's card: HBONE both ways between two pods, and one plain connection beside it."""
    w = Pcapng()
    result = w.section() + w.interface(name="ens5")
    for isn, source, destination, port in (
        (100, "10.244.1.4", "10.244.2.5", 15008),
        (200, "10.244.2.5", "10.244.1.4", 15008),
        (300, "10.244.1.4", "10.244.2.5", 8080),
    ):
        for up, flags, sequence, acknowledgment in (
            (True, 2, isn, 0),
            (False, 18, isn, isn + 1),
            (True, 16, isn + 1, isn + 1),
            (True, 17, isn + 1, isn + 1),
        ):
            ends = (source, destination) if up else (destination, source)
            ports = (41000, port) if up else (port, 41000)
            segment = p.tcp(
                b"", *ports, flags=flags, sequence=sequence, acknowledgment=acknowledgment
            )
            frame = p.ethernet(p.ipv4(segment, 6, *ends, ttl=63))
            result += w.packet(frame, units=1_700_000_000_000_000 + 1000 * isn)
    return result


# --- tables and formats ---


@pytest.mark.parametrize("table", TABLES)
def test_each_table_in_each_format(table: str, paths) -> None:
    words = [f"{path.stem}@{'B' if path.stem in {'nB', 'srv'} else 'A'}={path}" for path in paths]
    rows = document(*words, "--table", table)[table]
    lines = run(*words, "--table", table, "--format", "ndjson").stdout.splitlines()
    assert [json.loads(line) for line in lines] == rows
    listed = run(*words, "--table", table, "--format", "csv").stdout.splitlines()
    assert tuple(listed[0].split(",")) == CSV_COLUMNS[table]
    assert len(list(csv.DictReader(listed))) == (
        sum(len(row["segments"]) for row in rows) if table == "clocks" else len(rows)
    )
    shown = run(*words, "--table", table)
    assert shown.exit_code == 0
    if table in {"sessions", "clocks"}:
        assert rows
        assert len(shown.stdout.splitlines()) == len(rows) + 1
    assert not any("schema" in row for row in rows)


def test_people_get_sections(paths) -> None:
    done = run("--same-clock", *paths)
    assert done.exit_code == 0
    for title in ("Sessions", "Slowest to the first byte"):
        assert title in done.stdout
    assert "Clocks" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 120


def test_per_session_shows_every_way_the_slowest_first(paths, whole) -> None:
    done = run("--same-clock", *paths, "--per-session")
    timed = [s for s in whole["sessions"] if s["timing"]["by_segment"]]
    slowest = max(timed, key=lambda session: session["timing"]["first_byte_ns"])
    heads = [line for line in done.stdout.splitlines() if line.startswith("#")]
    assert len(heads) == len(whole["sessions"]) > len(timed)
    assert heads[0].startswith(f"#{slowest['id']} ")


def test_a_file_appears_whole(paths, tmp_path: Path) -> None:
    out = tmp_path / "flows.json"
    done = run("--same-clock", *paths, "--format", "json", "-o", out)
    assert (done.exit_code, done.stdout) == (0, "")
    assert json.loads(out.read_text())["sessions"]


def test_selectors_apply(paths, whole) -> None:
    some = document("--same-clock", *paths, "--addr", "10.244.1.6")["sessions"]
    assert 0 < len(some) < len(whole["sessions"])


# --- evidence that is given ---


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is missing")
def test_keys_name_streams(paths) -> None:
    keylog = paths[0].parent / "sslkeylog.txt"
    sessions = document("--same-clock", *paths, "--keylog", keylog)["sessions"]
    legs = [leg for s in sessions for leg in s["legs"] if leg["role"] == "hbone"]
    known = [leg for leg in legs if leg["stream"] is not None]
    assert len(known) > 20
    assert all(leg["payload_bytes"] is not None for leg in known)
    assert any(line.startswith("keys: ") for s in sessions for line in s["evidence"])
    assert " #1 " in run("--same-clock", *paths, "--keylog", keylog).stdout


def test_a_key_log_that_is_missing(paths, tmp_path: Path) -> None:
    done = run("--same-clock", *paths, "--keylog", tmp_path / "none.txt")
    assert done.exit_code == 3
    assert done.stdout == ""
    assert "none.txt" in done.stderr


def test_the_access_log_names_identities(paths) -> None:
    log = paths[0].parent / "ztA.log"
    sessions = document("--same-clock", *paths, "--ztunnel-log", log)["sessions"]
    assert any("spiffe://" in line for s in sessions for line in s["evidence"])


# --- hostile text ---


def test_escape_sequences_of_a_log_do_not_reach_the_terminal(paths, tmp_path: Path) -> None:
    log = tmp_path / "hostile.log"
    text = (paths[0].parent / "ztA.log").read_text()
    log.write_text(text.replace("spiffe://", f"spiffe://{ESCAPE}\u202e"))
    done = run("--same-clock", *paths, "--ztunnel-log", log, "--per-session")
    assert done.exit_code == 0
    assert "spiffe://\\x1b[31m\\u202e" in done.stdout.replace("\n        ", "")
    assert not {"\x1b", "\u202e"} & set(done.stdout)


def test_escape_sequences_of_an_interface_do_not_reach_the_terminal(tmp_path: Path) -> None:
    w = Pcapng()
    path = tmp_path / "node.pcapng"
    octets = around_the_mesh().replace(w.interface(name="ens5"), w.interface(name=f"en{ESCAPE}"))
    path.write_bytes(octets)
    for words in ((), ("--table", "unlinked_legs"), ("--table", "sessions"), ("--per-session",)):
        done = run(path, *words)
        assert done.exit_code in {0, 4}
        assert "\x1b" not in done.stdout + done.stderr
    named = run(f"{ESCAPE}=" + str(path))
    assert "\x1b" not in named.stdout + named.stderr


# --- clocks ---


def test_a_clock_that_cannot_be(paths) -> None:
    two = [path for path in paths if path.stem in {"nA", "nB"}]
    assert run(*two, "--clock", "nA=2").exit_code == 2
    done = run(*two, "--clock", "nC=±2ms")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "no such host; there are nA, nB" in done.stderr
    assert run("--same-clock", *two, "--clock", "nC=±2ms").exit_code == 2
    assert run(*two, "--clock", "nA=±2ms").exit_code == 0


def test_what_can_be_read_once_only(paths, tmp_path: Path) -> None:
    one = piped(tmp_path, paths[0], run)
    assert one.exit_code == 0, one.stderr
    assert one.stdout.count("hbone") > 10
    several = piped(tmp_path, paths[0], lambda path: run(path, paths[2]))
    assert (several.exit_code, several.stdout) == (4, "")
    assert "can be read only once" in several.stderr
    assert "--same-clock" in several.stderr
    known = piped(tmp_path, paths[0], lambda path: run("--same-clock", path, paths[2]))
    assert known.exit_code == 0, known.stderr


def piped(tmp_path: Path, source: Path, use):
    """Call `use` with a pipe through which a file's octets come."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def feed() -> None:
        with contextlib.suppress(BrokenPipeError):
            pipe.write_bytes(source.read_bytes())

    writer = threading.Thread(target=feed, daemon=True)
    writer.start()
    try:
        return use(pipe)
    finally:
        # A run that refused the pipe has not opened it.
        os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))
        writer.join(5)
        pipe.unlink()


# --- nothing to say ---


def test_without_packets_there_is_nothing_to_miss(tmp_path: Path) -> None:
    path = tmp_path / "empty.pcap"
    path.write_bytes(pcap())
    done = run(path)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "No session" in done.stdout
    assert document(path)["sessions"] == []


def test_without_sessions_it_is_said_what_was_missing(samples: Path, tmp_path: Path) -> None:
    done = run(samples / "vxlan-kernel.pcapng")
    assert done.exit_code == 4
    assert "No session" in done.stdout
    assert "to port 15008" in done.stdout
    assert "none of 4 TCP connections goes to port 15008 (HBONE)" in done.stderr
    assert "capture in the pods with their lo" in done.stderr
    machine = run(samples / "vxlan-kernel.pcapng", "--format", "json")
    assert machine.exit_code == 4
    assert json.loads(machine.stdout)["found"] == {"connections": 4, "hbone": 0, "outbound": 0}
    path = tmp_path / "udp.pcap"
    path.write_bytes(pcap(p.ethernet(p.ipv4(p.udp(b"x")))))
    assert "there is no TCP connection in 1 packet;" in run(path).stderr


def test_one_that_cannot_be_read_and_one_that_can(paths, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no capture")
    both = run("--same-clock", text, paths[0])
    assert both.exit_code == 3
    assert "Sessions" in both.stdout
    alone = run(text)
    assert (alone.exit_code, alone.stdout) == (3, "")


# --- findings ---


@pytest.fixture(scope="module")
def blocked(samples: Path) -> list[object]:
    folder = samples / "ztunnel-unreachable"
    return ["--same-clock", folder / "cli.pcapng", folder / "nA.pcapng"]


def test_findings_are_in_the_document(blocked) -> None:
    finding = document(*blocked)["findings"][0]
    assert (finding["code"], finding["severity"], finding["packets"]) == ("A03", "error", 20)
    assert set(finding["frames"][0]) == {"capture", "frame"}
    assert finding["details"]


@pytest.mark.parametrize("form", ["table", "csv", "ndjson"])
def test_findings_as_a_list(blocked, form) -> None:
    text = run(*blocked, "--table", "findings", "--format", form).stdout
    assert "A03" in text
    assert "client reset after 20.0 s" in text


def test_findings_for_people(blocked) -> None:
    assert "error A03: HBONE's port 15008 cannot be reached" in run(*blocked).stdout


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), 0),
        (("--fail-on", "error"), 1),
        (("--fail-on", "a03"), 1),
        (("--fail-on", "A04"), 0),
        (("--fail-on", "error", "--ignore", "A03"), 0),
    ],
)
def test_findings_that_fail_the_run(blocked, words, code) -> None:
    done = run(*blocked, *words)
    assert done.exit_code == code, done.stderr
    assert ("A03" in done.stdout) == ("--ignore" not in words)
