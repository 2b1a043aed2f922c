# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import signal
import subprocess
import sys
import termios
import threading
import time
from array import array
from pathlib import Path

import pytest
from click.testing import CliRunner

from genevecap.cli import inspect as command
from genevecap.cli.main import main

GENEVE = "geneve-ovs.pcapng"
VXLAN = "vxlan-kernel.pcapng"


@pytest.fixture
def run(samples, monkeypatch):
    monkeypatch.chdir(samples)

    def call(*words):
        return CliRunner().invoke(main, ["inspect", *map(str, words)])

    return call


def cut(path: Path, to: Path, octets: int) -> Path:
    to.write_bytes(path.read_bytes()[:octets])
    return to


# --- formats ---------------------------------------------------------------------------------


def test_the_summary(run):
    result = run(GENEVE)
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout.startswith(f"{GENEVE}  pcapng, ")
    assert "Geneve options" in result.stdout
    assert "\x1b" not in result.stdout


def test_the_summary_as_json(run):
    document = json.loads(run(GENEVE, "--format", "json").stdout)
    assert document["schema"] == "genevecap/inspect/1"
    assert document["captures"][0]["path"] == GENEVE
    assert {tunnel["kind"] for tunnel in document["tunnels"]} == {"geneve"}


def test_csv_and_ndjson_give_the_first_list_or_another(run):
    row = json.loads(run(GENEVE, "--format", "ndjson").stdout)
    assert row["path"] == GENEVE
    assert "schema" not in row
    rows = list(csv.DictReader(io.StringIO(run(GENEVE, "--format", "csv").stdout)))
    assert [row["path"] for row in rows] == [GENEVE]
    options = run(GENEVE, "--format", "ndjson", "--table", "options").stdout.splitlines()
    assert {json.loads(line)["class"] for line in options} == {0x0102, 0xFFFF}
    document = json.loads(run(GENEVE, "--format", "json", "--table", "options").stdout)
    assert list(document) == ["schema", "options"]


@pytest.mark.parametrize("name", command.TABLES)
def test_every_table(run, name):
    from genevecap.reports.machine import TABLES

    assert TABLES == command.TABLES
    result = run(GENEVE, "--table", name)
    assert result.exit_code == 0
    assert result.stdout.strip()


def test_packets_in_every_format(run):
    rows = [
        json.loads(line)
        for line in run(GENEVE, "--packets", "--format", "ndjson").stdout.splitlines()
    ]
    assert rows
    assert all("schema" not in row for row in rows)
    document = json.loads(run(GENEVE, "--packets", "--format", "json").stdout)
    assert document == {"schema": "genevecap/packets/1", "packets": rows}
    cells = list(csv.DictReader(io.StringIO(run(GENEVE, "--packets", "--format", "csv").stdout)))
    assert [row["frame"] for row in cells] == [str(row["frame"]) for row in rows]
    assert len(run(GENEVE, "--packets").stdout.splitlines()) == len(rows) + 2


def test_one_frame_in_every_format(run):
    text = run(GENEVE, "--frame", 12)
    assert text.exit_code == 0
    assert text.stdout.startswith(f"Frame 12 of {GENEVE}\n")
    document = json.loads(run(GENEVE, "--frame", 12, "--format", "json").stdout)
    assert document["schema"] == "genevecap/frame/1"
    assert document["packet"]["frame"] == 12
    (line,) = run(GENEVE, "--frame", 12, "--format", "ndjson").stdout.splitlines()
    assert json.loads(line)["data"] == document["data"]
    assert "vni" in run(GENEVE, "--frame", 12, "--format", "csv").stdout


# --- selectors and settings --------------------------------------------------------------------


def frames(result):
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def packets(run, *words):
    return frames(run(VXLAN, "--packets", "--format", "ndjson", *words))


def test_selectors(run):
    rows = packets(run)
    vnis = packets(run, "--vni", 1)
    assert vnis
    assert all([t["vni"] for t in row["tunnels"]] == [1] for row in vnis)
    assert len(packets(run, "--vni", 1, "--vni", 100)) > len(vnis)
    assert packets(run, "--port", 8472) == vnis
    address = vnis[0]["tunnels"][0]["source"]
    chosen = packets(run, "--addr", address)
    assert vnis[0] in chosen
    assert len(chosen) < len(rows)
    assert {row["point"] for row in packets(run, "--point", "*/eth0")} == {"vxlan-kernel/eth0"}
    assert packets(run, "--vni", 1, "--point", "*/flannel.1") == []


def test_times(run):
    rows = packets(run)
    middle = rows[len(rows) // 2]["time_ns"]
    text = f"{middle // 10**9}.{middle % 10**9:09d}"
    early = packets(run, "--until", text)
    assert early
    assert all(row["time_ns"] <= middle for row in early)
    assert all(row["time_ns"] >= middle for row in packets(run, "--since", text))
    assert len(packets(run, "--since", "+0")) <= len(rows)
    assert packets(run, "--until", "+3600") == rows


def test_ports_of_tunnels(run):
    def kinds(*words):
        rows = frames(run(GENEVE, "--packets", "--format", "ndjson", *words))
        return {tunnel["kind"] for row in rows for tunnel in row["tunnels"]}

    assert kinds() == {"geneve"}
    assert kinds("--vxlan-port", 6081) == {"vxlan"}
    assert kinds("--vxlan-port", 1, "--vxlan-gpe-port", 6081) == {"vxlan-gpe"}
    assert kinds("--geneve-port", 6000) == {"geneve"}


def test_names_hosts_and_one_clock(run):
    result = run(f"a={GENEVE}", f"b@other={GENEVE}", "--same-clock", "--format", "json")
    names = {p["name"] for c in json.loads(result.stdout)["captures"] for p in c["points"]}
    assert {name.partition("/")[0] for name in names} == {"a", "b"}


# --- exit codes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("-i", "eth0"),
        (GENEVE, "-i", "eth0"),
        (),
        (GENEVE, "--nonsense"),
        (GENEVE, "--format", "xml"),
        (GENEVE, "--table", "nonsense"),
        (GENEVE, "--packets", "--frame", "1"),
        (GENEVE, "--packets", "--table", "options"),
        (GENEVE, "--frame", "0"),
        (GENEVE, "--frame", "1", "--vni", "1"),
        (GENEVE, GENEVE, "--frame", "1"),
        (GENEVE, "--vni", "16777216"),
        (GENEVE, "--port", "65536"),
        (GENEVE, "--addr", "10.0.0.0/8"),
        (GENEVE, "--since", "yesterday"),
        (GENEVE, "--fail-on", "X99"),
        (GENEVE, "--ignore", "X99"),
        ("=nonsense",),
        (GENEVE, "-o", "/nonexistent/x"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(run, words):
    result = run(*words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


def test_live_capture_is_refused_with_a_way_to_do_it(run):
    assert "not in this version" in run("-i", "eth0").stderr


def test_a_frame_that_is_not_there(run):
    result = run(GENEVE, "--frame", 100_000)
    assert result.exit_code == 2
    assert "has no frame 100000" in result.stderr


@pytest.mark.parametrize("view", [(), ("--packets",), ("--format", "json"), ("--frame", "1")])
def test_what_is_no_capture_says_nothing_on_stdout(run, tmp_path, view):
    path = tmp_path / "letter.txt"
    path.write_text("Dear reader\n")
    result = run(path, *view)
    assert result.exit_code == 3
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: ")
    if view == ("--packets",) or not view:
        assert result.stdout == ""


def test_the_other_captures_go_on(run, tmp_path):
    missing = tmp_path / "missing.pcap"
    result = run(missing, GENEVE, "--format", "json")
    assert result.exit_code == 3
    assert "missing.pcap" in result.stderr
    assert [c["path"] for c in json.loads(result.stdout)["captures"]] == [GENEVE]


def test_a_capture_that_ends_early_is_a_warning(run, tmp_path, samples):
    path = cut(samples / "vxlan-any-sll2.pcap", tmp_path / "short.pcap", 1000)
    result = run(path, "--format", "json")
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: ")
    assert json.loads(result.stdout)["captures"][0]["cut_short"] is True


def test_damage_is_reported_with_what_came_before(run, tmp_path, samples):
    path = tmp_path / "damaged.pcap"
    octets = (samples / "vxlan-any-sll2.pcap").read_bytes()
    path.write_bytes(octets + b"\xff" * 16 + b"\0" * 100)
    result = run(path, "--packets", "--format", "ndjson")
    assert result.exit_code == 3
    assert len(result.stdout.splitlines()) == 94
    assert result.stderr.startswith("error: ")


@pytest.fixture
def with_finding(tmp_path):
    """A capture whose one frame is a Geneve packet with the reserved bits set."""
    from tests.build import packets as build

    geneve = bytes.fromhex("00 3f 6558 00000a 00") + build.ethernet(build.arp(), 0x0806)
    frame = build.ethernet(build.ipv4(build.udp(geneve, 1, 6081, check=0xBEEF)))
    header = bytes.fromhex("d4c3b2a1 0200 0400 00000000 00000000 ffff0000 01000000")
    record = bytes(8) + len(frame).to_bytes(4, "little") * 2
    path = tmp_path / "finding.pcap"
    path.write_bytes(header + record + frame)
    return path


@pytest.mark.parametrize("view", [(), ("--packets",), ("--frame", "1")])
def test_findings_fail_the_run_where_asked_to(run, with_finding, view):
    (finding,) = json.loads(run(with_finding, "--format", "json").stdout)["findings"]
    code, severity = finding["code"], finding["severity"]
    assert run(with_finding, *view).exit_code == 0
    assert run(with_finding, *view, "--fail-on", code.lower()).exit_code == 1
    assert run(with_finding, *view, "--fail-on", "G01").exit_code == 0
    assert run(with_finding, *view, "--fail-on", code, "--ignore", code).exit_code == 0
    expected = 1 if severity in {"error", "warning"} else 0
    assert run(with_finding, *view, "--fail-on", "warning").exit_code == expected
    expected = 1 if severity == "error" else 0
    assert run(with_finding, *view, "--fail-on", "error").exit_code == expected


@pytest.mark.parametrize("view", [("--packets",), ("--frame", "1")])
def test_packets_are_not_searched_for_what_takes_a_summary(run, view):
    """What the summary tells is beside a packet, or refused."""
    found = json.loads(run(VXLAN, "--format", "json").stdout)["findings"]
    codes = {finding["code"] for finding in found}
    told = set()
    for line in run(VXLAN, "--packets", "--format", "ndjson").stdout.splitlines():
        told.update(json.loads(line)["findings"])
    assert {"U01", "V03", "V04"} <= codes - told
    for code in codes:
        result = run(VXLAN, *view, "--fail-on", code)
        assert (result.exit_code == 2) == (code not in told)
        assert ("without --packets" in " ".join(result.stderr.split())) == (code not in told)


def test_an_ignored_finding_is_not_reported(run, with_finding):
    (finding,) = json.loads(run(with_finding, "--format", "json").stdout)["findings"]
    code = finding["code"]
    assert (
        json.loads(run(with_finding, "--format", "json", "--ignore", code).stdout)["findings"] == []
    )
    (row,) = frames(run(with_finding, "--packets", "--format", "ndjson", "--ignore", code))
    assert row["findings"] == []


def test_an_unreadable_input_outweighs_a_finding(run, with_finding, tmp_path):
    result = run(with_finding, tmp_path / "missing.pcap", "--fail-on", "G08")
    assert result.exit_code == 3


# --- output files ------------------------------------------------------------------------------


def test_a_file_gets_what_stdout_would(run, tmp_path):
    path = tmp_path / "out.json"
    assert run(GENEVE, "--format", "json", "-o", path).stdout == ""
    assert path.read_text() == run(GENEVE, "--format", "json").stdout
    assert [found.name for found in tmp_path.iterdir()] == ["out.json"]


def test_nothing_is_left_of_a_run_that_fails(run, tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("before")
    assert run(GENEVE, "--frame", 100_000, "-o", path).exit_code == 2
    assert path.read_text() == "before"
    assert [found.name for found in tmp_path.iterdir()] == ["out.txt"]


@pytest.mark.parametrize("name", ["capture.pcapng", "hard.pcapng", "soft.pcapng"])
def test_an_input_is_never_overwritten(run, tmp_path, samples, name):
    capture = tmp_path / "capture.pcapng"
    capture.write_bytes((samples / GENEVE).read_bytes())
    (tmp_path / "hard.pcapng").hardlink_to(capture)
    (tmp_path / "soft.pcapng").symlink_to(capture)
    before = capture.read_bytes()
    result = run(f"x={capture}", "-o", tmp_path / name)
    assert result.exit_code == 2
    assert "this is an input" in result.stderr
    assert capture.read_bytes() == before


def test_a_link_and_the_mode_of_a_file_stay(run, tmp_path):
    target = tmp_path / "target.txt"
    target.write_text("before")
    target.chmod(0o640)
    link = tmp_path / "link.txt"
    link.symlink_to(target)
    assert run(GENEVE, "-o", link).exit_code == 0
    assert link.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o640
    assert target.read_text().startswith(GENEVE)


def test_a_device_is_written_not_replaced(run):
    assert run(GENEVE, "-o", "/dev/null").exit_code == 0
    assert Path("/dev/null").is_char_device()


def test_a_dash_is_standard_output(run):
    assert run(GENEVE, "-o", "-").stdout == run(GENEVE).stdout


# --- a process of its own ----------------------------------------------------------------------

PROGRAM = (sys.executable, "-m", "genevecap", "inspect")


def test_rows_of_a_growing_pipe_come_as_they_are_written(samples):
    octets = (samples / "vxlan-any-sll2.pcap").read_bytes()
    with subprocess.Popen(
        [*PROGRAM, "-", "--packets", "--format", "ndjson"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        process.stdin.write(octets[:2000])
        process.stdin.flush()
        timer = threading.Timer(30, process.kill)
        timer.start()
        assert json.loads(process.stdout.readline())["frame"] == 1
        timer.cancel()
        process.stdin.write(octets[2000:])
        process.stdin.close()
        assert len(process.stdout.read().splitlines()) == 93
    assert process.returncode == 0


def wait_until_read(pipe):
    """Wait until the other side has read all that was written, and a little for what it does."""
    deadline = time.monotonic() + 60
    left = array("i", [1])
    while left[0] and time.monotonic() < deadline:
        time.sleep(0.05)
        fcntl.ioctl(pipe, termios.FIONREAD, left)
    time.sleep(1)


@pytest.mark.parametrize(
    "words", [("--packets", "--format", "json"), ("--format", "json")], ids=["packets", "summary"]
)
def test_an_interrupt_prints_what_was_gathered(samples, words):
    octets = (samples / "vxlan-any-sll2.pcap").read_bytes()
    with subprocess.Popen(
        [*PROGRAM, "-", *words, "--until", "+3600"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdin.write(octets[:4000])
        process.stdin.flush()
        if words[0] == "--packets":
            head = process.stdout.readline() + process.stdout.readline()
        else:
            # Nothing shows that the summary waits for more input but that it took what there was.
            wait_until_read(process.stdin)
            head = b""
        process.send_signal(signal.SIGINT)
        out, err = process.stdout.read(), process.stderr.read()
    assert process.returncode == 130
    assert err == b""
    document = json.loads(head + out)
    assert document.get("packets") or document["captures"]


@pytest.mark.parametrize("words", [("--packets",), ("--help",), ("--format", "json")])
def test_a_closed_pipe_ends_the_program_silently(samples, words):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*PROGRAM, samples / GENEVE, *words],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_one_line(samples):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, samples / GENEVE],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert done.returncode == 3
    assert done.stderr == b"error: output: No space left on device\n"


def test_a_closed_stdout_is_no_error(samples):
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" "$@" >&-', *PROGRAM, samples / GENEVE],
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_encoding_without_the_character_gets_an_escape(samples):
    done = subprocess.run(
        [*PROGRAM, samples / GENEVE],
        capture_output=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "60"},
    )
    assert done.returncode == 0
    assert rb"\u2026" in done.stdout
