# SPDX-License-Identifier: Apache-2.0
"""The samples of the real ztunnel: what their README and `truth.json` say is in the packets."""

from __future__ import annotations

import gzip
import json
import re
import shlex
import shutil
import struct
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import ROOT, SAMPLES, SHARED
from tests.lab import cut_packets, cut_samples, cut_truth, samplefiles
from tests.lab.cut_packets import pair
from tests.lab.cut_recipes import RECIPES
from tests.lab.namespaces import LabError

LAB = SHARED / "lab"
README = (SAMPLES / "README.md").read_text()
LISTED = {
    name: int(count)
    for name, count in re.findall(r"^\| `(ztunnel-[^`]+/[^`]+)` \| (\d+) \|", README, re.MULTILINE)
}
CAPTURES = sorted(SAMPLES.glob("ztunnel-*/*.pcapng"))
FOLDERS = sorted({path.parent for path in CAPTURES})
CLIENTS = {"10.244.1.4": "cli", "10.244.1.6": "cli2"}
ON_TLS_PORT = ("-d", "tcp.port==15008,tls")

each_capture = pytest.mark.parametrize(
    "path", CAPTURES, ids=lambda path: f"{path.parent.name}/{path.name}"
)
each_folder = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


@cache
def truth(folder):
    return json.loads((folder / "truth.json").read_text())


@cache
def blocks(path):
    return cut_packets.read_blocks(path)


def packets(folder):
    """Return (capture, interface, segment) of every packet of a sample."""
    return [
        (path.stem, block.interface, block.segment)
        for path in sorted(folder.glob("*.pcapng"))
        for block in blocks(path)
        if block.kind == cut_packets.ENHANCED_PACKET
    ]


def openings(folder):
    """Return where each connection's SYN is: (source, destination) -> {(capture, interface)}."""
    found = {}
    for capture, interface, segment in packets(folder):
        if segment.opens:
            found.setdefault((segment.source, segment.destination), set()).add((capture, interface))
    return found


def legs(folder, leg):
    return [flow[leg] for flow in truth(folder)["flows"] if flow[leg]]


def not_whole(folder, *, begun_before):
    return {
        tuple(one["ends"])
        for one in truth(folder)["cut"]["connections_not_whole"]
        if begun_before is None or (one["since_ns"] is not None) == begun_before
    }


def tshark(path, *words):
    if not shutil.which("tshark"):
        pytest.skip("tshark is missing")
    done = subprocess.run(
        ["tshark", "-n", "-r", str(path), *words],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout.splitlines()


def needs_sets():
    if not LAB.is_dir():
        pytest.skip("the recorded sets (../shared/lab beside the checkout) are not here")


# --- files ---------------------------------------------------------------------------------------


def test_every_sample_has_a_recipe_and_every_recipe_its_samples():
    assert [folder.name for folder in FOLDERS] == sorted(RECIPES)
    written = {
        f"{name}/{capture}.pcapng" for name, one in RECIPES.items() for capture in one.captures
    }
    assert written == {f"{path.parent.name}/{path.name}" for path in CAPTURES}


def test_readme_lists_every_capture():
    assert set(LISTED) == {f"{path.parent.name}/{path.name}" for path in CAPTURES}


@each_folder
def test_readme_names_every_other_file(folder):
    others = {path.name for path in folder.iterdir() if path.suffix != ".pcapng"}
    assert {name for name in others if f"`{name}`" not in README} == set()


@each_capture
def test_packet_count_is_the_one_in_readme_and_truth(path):
    count = samplefiles.count_packets(path.read_bytes())
    assert count == LISTED[f"{path.parent.name}/{path.name}"]
    assert count == truth(path.parent)["cut"]["packets"][path.name]


@each_capture
def test_tshark_confirms_packet_count_and_openings(path):
    rows = tshark(
        path, "-T", "fields", "-e", "ip.src", "-e", "tcp.srcport", "-e", "ip.dst",
        "-e", "tcp.dstport", "-e", "tcp.flags.syn", "-e", "tcp.flags.ack",
    )  # fmt: skip
    assert len(rows) == LISTED[f"{path.parent.name}/{path.name}"]
    inner = [[value.rpartition(",")[2] for value in row.split("\t")] for row in rows]
    theirs = Counter(
        (f"{source}:{source_port}", f"{destination}:{destination_port}")
        for source, source_port, destination, destination_port, syn, ack in inner
        if (syn, ack) == ("1", "0")
    )
    segments = [block.segment for block in blocks(path) if block.segment]
    assert theirs == Counter((one.source, one.destination) for one in segments if one.opens)


@each_folder
def test_files_are_small(folder):
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert {name: size for name, size in sizes.items() if not 0 < size < 200_000} == {}


@each_capture
def test_pcapng_does_not_name_the_machine(path):
    data = path.read_bytes()
    assert samplefiles.without_machine(data) == data


# --- truth and packets ---------------------------------------------------------------------------


@each_folder
def test_every_session_begins_on_the_lo_of_its_client(folder):
    syns = openings(folder)
    for flow in truth(folder)["flows"]:
        client = cut_truth.redirected(flow)
        pod = CLIENTS[client.rpartition(":")[0]]
        assert syns[client, cut_truth.REDIRECTED_TO] == {(pod, "lo")}


@each_folder
def test_replies_of_conn1_name_the_destination(folder):
    seen = {(one.source, one.destination) for _, interface, one in packets(folder)
            if interface == "lo"}  # fmt: skip
    wanted = {(conn1["dst"], conn1["client"]) for conn1 in legs(folder, "conn1")}
    assert wanted <= seen


@each_folder
def test_every_conn2_is_opened_at_each_point_it_passes(folder):
    syns = openings(folder)
    before = not_whole(folder, begun_before=True)
    for conn2 in truth(folder)["conn2"]:
        ends = conn2["client"], conn2["dst"]
        if pair(*ends) in before:
            assert ends not in syns
            continue
        captures = {capture for capture, _ in syns[ends]}
        client = conn2["client"].rpartition(":")[0]
        server = {"10.244.2.5:15008": "srv", "10.244.2.7:15008": "wp"}[conn2["dst"]]
        expected = {CLIENTS[client], "nA"} if client in CLIENTS else {"wp"}
        assert captures == expected | {"nB", server}


@each_folder
def test_every_conn3_is_opened_where_it_starts(folder):
    syns = openings(folder)
    requests = [request for flow in truth(folder)["flows"] for request in flow["requests"]]
    named = {(conn3["client"], conn3["dst"]) for conn3 in legs(folder, "conn3")}
    named |= {tuple(request["conn3"]) for request in requests if request.get("conn3")}
    for client, server in named:
        place = ("srv", "lo") if server.startswith("10.244.2.5:") else ("cli", "eth0")
        assert place in syns[client, server]


@each_folder
def test_connections_without_name_are_opened_too(folder):
    syns = {pair(*ends) for ends in openings(folder)}
    clients = {conn1["client"] for conn1 in legs(folder, "conn1")}
    for one in truth(folder)["cut"]["connections_without_name"]:
        assert tuple(one["ends"]) in syns
        assert {*one["sessions"]} <= clients


@each_folder
def test_no_packet_is_of_another_connection(folder):
    named = {both for flow in truth(folder)["flows"] for both in cut_truth.connections(flow)}
    named |= {tuple(one["ends"]) for one in truth(folder)["cut"]["connections_without_name"]}
    assert {segment.pair for _, _, segment in packets(folder)} == named


@each_folder
def test_truth_counts_what_it_has(folder):
    whole = truth(folder)
    assert whole["counts"] == cut_truth.counts(whole["flows"], whole["conn2"])
    streams = {(one["client"], stream) for one in whole["conn2"] for stream in one["streams"]}
    conn2 = {(one["client"], one["stream"]) for one in legs(folder, "conn2")}
    onward = {(one["client"], one["stream"]) for one in whole["waypoint_streams"]}
    assert streams == conn2 | onward


def test_kinds_of_sessions_are_the_ones_promised():
    kinds = {folder.name: truth(folder)["counts"]["kinds"] for folder in FOLDERS}
    assert kinds == {
        "ztunnel-in-pod": {
            "hbone/ok": 29, "hbone/refused": 2, "hbone/denied": 2, "passthrough/ok": 2,
        },
        "ztunnel-waypoint": {"waypoint/ok": 14},
        "ztunnel-unreachable": {"hbone/unreachable": 3},
    }  # fmt: skip


def test_a_stream_that_is_cut_has_no_totals():
    streams = truth(SAMPLES / "ztunnel-waypoint")["waypoint_streams"]
    assert [one["stream"] for one in streams] == [1, 3, 5]
    assert {(one["up_bytes"], one["down_bytes"]) for one in streams} == {(None, None)}


@each_folder
def test_cut_connections_end_where_the_truth_says(folder):
    for one in truth(folder)["cut"]["connections_not_whole"]:
        window = cut_truth.Window(one["since_ns"], one["until_ns"])
        times = [
            block.time_ns
            for path in folder.glob("*.pcapng")
            for block in blocks(path)
            if block.segment and block.segment.pair == tuple(one["ends"])
        ]
        assert times
        assert all(window.holds(time_ns) for time_ns in times)


# --- keys and logs -------------------------------------------------------------------------------


@each_folder
def test_key_log_is_of_the_handshakes_in_the_captures(folder):
    path = folder / "sslkeylog.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    hellos = {
        segment.payload[11:43].hex()
        for _, _, segment in packets(folder)
        if segment.payload[:1] == b"\x16" and segment.payload[5:6] == b"\x01"
    }
    assert {line.split(" ")[1] for line in lines} == hellos
    whole = [
        one
        for one in truth(folder)["conn2"]
        if pair(one["client"], one["dst"]) not in not_whole(folder, begun_before=True)
    ]
    assert len(hellos) == len(whole)


@each_folder
def test_one_capture_carries_the_same_keys(folder):
    secrets = {
        path.stem: block.octets
        for path in folder.glob("*.pcapng")
        for block in blocks(path)
        if block.kind == cut_packets.SECRETS
    }
    carrier = RECIPES[folder.name].secrets_in
    assert set(secrets) == ({carrier} if carrier else set())
    for octets in secrets.values():
        kind, size_bytes = struct.unpack_from("<II", octets, 8)
        assert kind.to_bytes(4) == b"TLSK"
        assert octets[16 : 16 + size_bytes].decode() == (folder / "sslkeylog.txt").read_text()


@pytest.mark.parametrize(
    ("capture", "hbone"),
    [
        ("ztunnel-in-pod/cli2.pcapng", {"10.244.1.6:49790"}),
        (
            "ztunnel-waypoint/wp.pcapng",
            {"10.244.1.4:57578", "10.244.1.6:35904", "10.244.2.7:52488"},
        ),
    ],
)
def test_tshark_opens_hbone_with_the_keys_in_the_file(capture, hbone):
    path = SAMPLES / capture
    rows = tshark(
        path, *ON_TLS_PORT, "-Y", "http2.headers.method == CONNECT", "-T", "fields",
        "-e", "ip.src", "-e", "tcp.srcport", "-e", "http2.headers.authority",
    )  # fmt: skip
    found = Counter()
    for row in rows:
        source, port, authorities = row.split("\t")
        found[f"{source}:{port}"] += len(authorities.split(","))
    streams = {
        one["client"]: len(one["streams"])
        for one in truth(path.parent)["conn2"]
        if one["client"] in hbone
    }
    assert found == streams


@each_folder
def test_access_logs_are_of_the_sessions(folder):
    sessions = {cut_truth.redirected(flow) for flow in truth(folder)["flows"]}
    outbound = re.findall(r"src\.addr=(\S+)", (folder / "ztA.log").read_text())
    assert sorted(outbound) == sorted(sessions)

    path = folder / "ztB.log"
    inbound = re.findall(r"src\.addr=(\S+)", path.read_text()) if path.exists() else []
    # A waypoint's stream outlives the sample, so that its line was written later.
    hbone = [flow["conn2"]["client"] for flow in truth(folder)["flows"]
             if flow["conn2"] and flow["session_kind"] == "hbone"]  # fmt: skip
    assert Counter(inbound) == Counter(hbone)


def test_waypoint_log_is_of_the_requests():
    folder = SAMPLES / "ztunnel-waypoint"
    lines = (folder / "waypoint-access.log").read_text().splitlines()
    ids = [json.loads(line)["id"] for line in lines]
    assert sorted(ids) == sorted(cut_truth.request_ids(truth(folder)["flows"]))


# --- what a user sees ----------------------------------------------------------------------------


@each_folder
def test_the_command_of_the_readme_shows_in_pod_redirection(folder):
    pattern = rf"^genevecap (inspect samples/{re.escape(folder.name)}/\*\.pcapng)$"
    (words,) = re.findall(pattern, README, re.MULTILINE)
    command, glob = shlex.split(words)
    paths = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(glob))
    done = subprocess.run(
        [sys.executable, "-m", "genevecap", command, *paths, "--format", "json"],
        capture_output=True, check=True, timeout=60, cwd=ROOT,
    )  # fmt: skip
    shown = json.loads(done.stdout)
    assert shown["ambient"]["mode"] == "in-pod"
    sessions = str(len(truth(folder)["flows"]))
    redirected = [text for text in shown["ambient"]["evidence"] if "127.0.0.1:15001" in text]
    assert sessions in " ".join(redirected).split()
    said = README.partition(words)[2].split("\n\n")[1]
    assert said.startswith("prints `Istio ambient: in-pod`")
    assert sessions in said.split()


# --- the script ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECIPES)
def test_cutting_again_gives_the_same_bytes(name, tmp_path):
    needs_sets()
    cut_samples.cut(name, RECIPES[name], LAB, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in (SAMPLES / name).iterdir()
    }


@pytest.mark.parametrize("name", RECIPES)
def test_every_packet_is_in_the_recording_as_it_is(name):
    needs_sets()
    for capture in RECIPES[name].captures:
        kept = [block.octets for block in blocks(SAMPLES / name / f"{capture}.pcapng")
                if block.kind == cut_packets.ENHANCED_PACKET]  # fmt: skip
        recorded = gzip.decompress(
            (LAB / RECIPES[name].source / f"{capture}.pcapng.gz").read_bytes()
        )
        position = 0
        for octets in kept:
            position = recorded.index(octets, position) + len(octets)


def test_counts_are_counted_as_the_recorded_sets_do():
    needs_sets()
    for recipe in RECIPES.values():
        whole = json.loads((LAB / recipe.source / "truth.json").read_text())
        assert cut_truth.counts(whole["flows"], whole["conn2"]) == whole["counts"]


@pytest.fixture
def recorded(tmp_path):
    """A recorded set that needs nothing beside the repository: the smallest sample itself."""
    sample = SAMPLES / "ztunnel-unreachable"
    folder = tmp_path / "lab" / RECIPES[sample.name].source
    folder.mkdir(parents=True)
    for path in sample.glob("*.pcapng"):
        (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    for name in ("truth.json", "ztA.log"):
        shutil.copy(sample / name, folder / name)
    (folder / "ztB.log").write_text("")
    (folder / "sslkeylog.txt").write_text("")
    return folder


def cut_unreachable(recorded, folder):
    name = "ztunnel-unreachable"
    return list(cut_samples.publish(recorded.parent, folder, [name]))


def test_cutting_a_sample_changes_nothing(recorded, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    ((name, counts),) = cut_unreachable(recorded, out)
    assert counts == {"cli.pcapng": 40, "nA.pcapng": 20}
    for path in (SAMPLES / name).glob("*.pcapng"):
        assert (out / name / path.name).read_bytes() == path.read_bytes()
    assert [path.name for path in out.iterdir()] == [name]


def test_readme_gets_the_counts(recorded, tmp_path):
    readme = tmp_path / "README.md"
    wrong = re.sub(r"^(\| `ztunnel-unreachable/\S+ \|) \d+", r"\1 0", README, flags=re.MULTILINE)
    assert wrong != README
    readme.write_text(wrong)
    cut_unreachable(recorded, tmp_path)
    assert readme.read_text() == README


def rewritten(path, change):
    path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))


def test_a_port_met_twice_is_an_error_and_nothing_is_written(recorded, tmp_path):
    def reopened(data):
        """Append a copy of the last SYN with another sequence number."""
        packet = [one for one in blocks(SAMPLES / "ztunnel-unreachable/nA.pcapng")
                  if one.segment][-1]  # fmt: skip
        old = struct.pack(">I", packet.segment.sequence)
        assert packet.octets.count(old) == 1
        return data + packet.octets.replace(old, b"\x01\x02\x03\x04")

    rewritten(recorded / "nA.pcapng.gz", reopened)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(LabError, match=r"15008: opened 2 times"):
        cut_unreachable(recorded, out)
    assert list(out.iterdir()) == []


def test_a_session_that_is_missing_is_an_error(recorded, tmp_path):
    path = recorded / "truth.json"
    path.write_text(path.read_text().replace("10.244.1.4:35096", "10.244.1.4:1"))
    with pytest.raises(LabError, match=r"the truth has no 10\.244\.1\.4:35096"):
        cut_unreachable(recorded, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-4] + bytes(4), "bad length"),
        (lambda data: data[:-2], "bad length"),
        (lambda data: data + data, "not one little-endian section"),
        (lambda data: data.replace(b"\x09\x00\x01\x00\x09", b"\x09\x00\x01\x00\x06"), "nanosec"),
    ],
    ids=["trailer", "end", "two sections", "microseconds"],
)
def test_another_kind_of_file_is_an_error(recorded, tmp_path, change, message):
    rewritten(recorded / "cli.pcapng.gz", change)
    with pytest.raises(LabError, match=rf"^cli\.pcapng\.gz: .*{message}"):
        cut_unreachable(recorded, tmp_path)


def test_without_the_recorded_sets_the_script_says_so(tmp_path, capsys):
    assert cut_samples.main([str(tmp_path / "lab"), str(tmp_path / "out")]) == 2
    assert "has no recorded set ztunnel-1.31" in capsys.readouterr().err


def test_a_window_is_half_open():
    window = cut_truth.Window(10, 20)
    assert [window.holds(time_ns) for time_ns in (9, 10, 19, 20)] == [False, True, True, False]
    assert cut_truth.Window(None, None).holds(0)


def test_the_script_says_what_it_kept_and_why(recorded, tmp_path, capsys, monkeypatch):
    only = {"ztunnel-unreachable": RECIPES["ztunnel-unreachable"]}
    monkeypatch.setattr(cut_samples, "RECIPES", only)
    assert cut_samples.main([str(recorded.parent), str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert said.startswith(
        "ztunnel-unreachable, from ztunnel-1.31-faults:\n  cli.pcapng: 40 packets"
    )
    assert "whose port 15008 never answered" in said
    assert Path(tmp_path / "out" / "ztunnel-unreachable" / "truth.json").exists()
