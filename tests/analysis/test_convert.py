# SPDX-License-Identifier: Apache-2.0
"""`convert`: captures there and back, read by tshark, with lengths that agree to the octet."""

from __future__ import annotations

import shutil
import subprocess

import pytest

import genevecap
from genevecap.analysis.comparison.encapsulation import diff_encapsulations
from genevecap.capture.spec import CaptureSpec
from genevecap.errors import UnreadableCapture, UsageError

SAMPLES = (
    "geneve-ovs.pcapng",
    "geneve-short.pcap.gz",
    "vxlan-kernel.pcapng",
    "vxlan-any-sll2.pcap",
)
needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")

GOOD = "1"
"""tshark's word for a checksum that is right."""


def tshark(path, *fields):
    """Return fields of each frame as tshark reads them, checksums checked."""
    done = subprocess.run(
        ["tshark", "-r", str(path), "-d", "udp.port==8472,vxlan", "-o", "ip.check_checksum:TRUE",
         "-o", "udp.check_checksum:TRUE", "-o", "ip.defragment:FALSE", "-T", "fields",
         *(word for field in fields for word in ("-e", field))],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [line.split("\t") for line in done.stdout.splitlines()]


@needs_tshark
@pytest.mark.parametrize("name", SAMPLES)
def test_there_and_back_as_tshark_reads_it(samples, tmp_path, name):
    fields = (
        "frame.len", "frame.time_epoch", "frame.protocols", "geneve.options", "vxlan.vni",
        "geneve.vni", "udp.length", "ip.checksum.status", "udp.checksum.status", "ip.len",
    )  # fmt: skip
    paths = [samples / name, tmp_path / "vxlan.pcapng", tmp_path / "geneve.pcapng"]
    for before, after, to in zip(paths, paths[1:], ("vxlan", "geneve"), strict=False):
        result = genevecap.convert(str(before), after, to=to)
        assert result.packets == genevecap.inspect(str(before)).captures[0].packets
    originals, in_vxlan, in_geneve = (tshark(path, *fields) for path in paths)
    tunnels = 0
    for original, vxlan, geneve in zip(originals, in_vxlan, in_geneve, strict=True):
        options = len(original[3].replace(",", "")) // 2
        vni = original[4] or original[5]
        assert [vxlan[1], geneve[1]] == [original[1]] * 2
        assert int(vxlan[0]) == int(geneve[0]) == int(original[0]) - options
        if not vni:
            assert original[2] == vxlan[2] == geneve[2]
            continue
        tunnels += 1
        assert [int(n, 0) for n in vxlan[4].split(",")] == [int(n, 0) for n in vni.split(",")]
        assert [int(n, 0) for n in geneve[5].split(",")] == [int(n, 0) for n in vni.split(",")]
        assert (vxlan[5], geneve[4]) == ("", "")
        assert original[2].replace("geneve", "vxlan") == vxlan[2]
        assert original[2].replace("vxlan", "geneve") == geneve[2]
        for changed in (vxlan, geneve):
            # The outer headers: lengths follow, and what was right is right again.
            outer_udp = [int(line[6].split(",")[0]) for line in (original, changed)]
            assert outer_udp[1] == outer_udp[0] - options
            for column in (7, 8):
                first, now = (line[column].split(",")[0] for line in (original, changed))
                assert now == GOOD or first != GOOD  # left to the card, some were wrong
    assert tunnels


@needs_tshark
@pytest.mark.parametrize("name", SAMPLES)
def test_the_difference_is_what_diff_says(samples, tmp_path, name):
    """Octets that tshark counts in the converted captures are those that `diff` works out."""
    made = {"vxlan": tmp_path / "vxlan.pcapng", "geneve": tmp_path / "geneve.pcapng"}
    genevecap.convert(str(samples / name), made["vxlan"], to="vxlan")
    genevecap.convert(str(made["vxlan"]), made["geneve"], to="geneve")
    for kind, path in made.items():
        found = [
            (line[0], line[1].split(",")[0])
            for line in tshark(path, "frame.len", "ip.version", f"{kind}.vni", "frame.protocols")
            if line[2]
        ]
        result = diff_encapsulations([CaptureSpec.parse(str(path))], option_bytes=0)
        (observed,) = result.observed
        whole = sum(int(length) for length, _ in found)
        # A cooked header is 6 octets longer than Ethernet's; super-packets count as segments, and
        # fragments as whole packets: what is compared is a capture without either.
        cooked = 6 * len(found) if "sll2" in name else 0
        if not result.traffic.super_packets and "kernel" not in name:
            assert observed.wire_bytes == whole - cooked
            assert observed.packets == len(found)


@needs_tshark
def test_decapsulated_packets_are_those_of_the_pods(samples, tmp_path):
    """The pods' own interfaces saw the same frames bare, and tshark finds no tunnel any more."""
    out = tmp_path / "inner.pcapng"
    result = genevecap.convert(str(samples / "geneve-ovs.pcapng"), out)
    assert (result.packets, result.converted, result.kept) == (213, 105, (("no tunnel", 108),))
    lines = tshark(out, "frame.interface_name", "frame.protocols", "frame.comment", "frame.len")
    assert not any("geneve" in line[1] for line in lines)
    assert [line[2] for line in lines[:2]] == ["frame 1, decapsulated", "frame 2, decapsulated"]
    originals = tshark(samples / "geneve-ovs.pcapng", "frame.len", "geneve.options")
    for line, (length, options) in zip(lines, originals, strict=True):
        removed = 50 + len(options) // 2 if options else 0
        assert int(line[3]) == int(length) - removed

    def on(name):
        return {
            row.inner for row in genevecap.packets(str(out), points=(f"*/{name}",)) if row.inner
        }

    assert on("eth0") >= {flow for flow in on("pod-a1") if flow.protocol == "tcp"}


def test_comments_names_keys_and_times_are_kept(samples, tmp_path):
    source = samples / "ztunnel-in-pod" / "cli2.pcapng"
    before, after = genevecap.open_capture(str(source)), None
    genevecap.convert(str(source), tmp_path / "out.pcapng")
    genevecap.convert(str(tmp_path / "out.pcapng"), tmp_path / "again.pcapng")
    after = genevecap.open_capture(f"cli2={tmp_path / 'again.pcapng'}")
    times = [[t for b in c.batches() for t in b.time_ns[: b.count]] for c in (before, after)]
    assert times[0] == times[1]
    assert after.key_logs == before.key_logs != ()
    assert set(after.points.names) == set(before.points.names)
    assert set(before.comments) <= set(after.comments)
    first = next(iter(genevecap.open_capture(str(tmp_path / "again.pcapng")).batches()))
    assert first.options_bytes[0] > 0
    reopened = genevecap.open_capture(str(tmp_path / "again.pcapng"))
    next(reopened.batches())
    assert reopened.frame_comments(0) == ("frame 1", "frame 1")


def test_selected_packets_only(samples, tmp_path):
    result = genevecap.convert(
        str(samples / "geneve-ovs.pcapng"), tmp_path / "out.pcap", to="vxlan", vni=9, vnis=(70000,)
    )
    tunnels = genevecap.inspect(str(tmp_path / "out.pcap")).tunnels
    assert {(tunnel.kind, tunnel.vni) for tunnel in tunnels} == {("vxlan", 9)}
    assert sum(tunnel.packets for tunnel in tunnels) == result.packets == result.converted > 0


def test_whole_files_or_none(samples, tmp_path):
    source = tmp_path / "in.pcapng"
    source.write_bytes((samples / "geneve-ovs.pcapng").read_bytes())
    with pytest.raises(UsageError, match="this is an input"):
        genevecap.convert(str(source), source)
    assert source.read_bytes() == (samples / "geneve-ovs.pcapng").read_bytes()
    with pytest.raises(UnreadableCapture):
        genevecap.convert(str(tmp_path / "missing"), tmp_path / "out")
    # Decapsulated frames are Ethernet, the others cooked: classic pcap cannot hold both.
    with pytest.raises(UsageError, match="one link type"):
        genevecap.convert(str(samples / "vxlan-any-sll2.pcap"), tmp_path / "out.pcap")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.pcapng"]


def test_what_was_read_of_a_damaged_capture_is_written(samples, tmp_path):
    data = bytearray((samples / "geneve-ovs.pcapng").read_bytes())
    half = len(data) // 2
    (tmp_path / "cut.pcapng").write_bytes(data[:half])
    told = []
    result = genevecap.convert(
        str(tmp_path / "cut.pcapng"), tmp_path / "out.pcapng", on_problem=told.append
    )
    assert [problem.severity for problem in told] == ["warning"]
    assert (
        genevecap.inspect(str(tmp_path / "out.pcapng")).captures[0].packets == result.packets > 50
    )
