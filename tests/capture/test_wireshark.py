# SPDX-License-Identifier: Apache-2.0
"""Wireshark as a witness: frame numbers, lengths and times of captures made here."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache

import pytest

from genevecap.columns import NO_TIME
from tests.build import captures as build
from tests.build.captures import BIG, LITTLE

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")

FIELDS = ("frame.number", "frame.cap_len", "frame.len", "frame.time_epoch", "frame.comment")
PACKETS = [bytes([i]) * (14 + i * 7 % 90) for i in range(40)]


@pytest.fixture(scope="module")
def witness(tmp_path_factory):
    """What tshark says of a capture, asked once for both walks."""
    path = tmp_path_factory.mktemp("wireshark") / "x"

    @cache
    def ask(name: str) -> list[tuple[int, str, str, str, str]]:
        path.write_bytes(CAPTURES[name])
        return frames_of(path)

    return ask


def frames_of(path) -> list[tuple[int, str, str, str, str]]:
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "occurrence=a"]
    command += ["-o", "frame.generate_epoch_time:TRUE"]
    for field in FIELDS:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    return [(int(row[0]), *row[1:]) for row in rows]


def epoch(time_ns: int, *, timeless: bool) -> str:
    if timeless:
        return ""
    seconds, fraction = divmod(time_ns, 10**9)
    return f"{seconds}.{fraction:09}"


def pcap(**header) -> bytes:
    order = header.get("order", "<")
    kuznetzov = header.get("magic") == build.KUZNETZOV
    swapped = header.get("version", (2, 4)) < (2, 4)
    return build.pcap_header(**header) + b"".join(
        build.pcap_record(
            data,
            order=order,
            seconds=1_600_000_000 + i,
            fraction=i * 1001,
            original=len(data) + i % 3,
            swapped=swapped and (header["version"] < (2, 3) or i % 3 != 0),
            kuznetzov=kuznetzov,
        )
        for i, data in enumerate(PACKETS)
    )


def pcapng(ng, resolution: int = 6, **interface) -> bytes:
    """One section of everything that Wireshark numbers, or does not."""
    out = ng.section() + ng.names((bytes([10, 0, 0, 1]), "one"))
    out += ng.interface(name="a", snaplen=60, resolution=resolution, **interface)
    out += ng.interface(name="b", resolution=9)
    per_second = (2 if resolution & 0x80 else 10) ** (resolution & 0x7F)
    for i, data in enumerate(PACKETS):
        seconds = 1_600_000_000 + i
        units = seconds * per_second + i
        out += ng.packet(data[:60], units=units, original=len(data))
        out += ng.packet(data, (1, b"said"), interface=1, units=seconds * 10**9 + 1)
        if i % 5 == 0:
            out += ng.simple(data[:60], original=len(data))
            out += ng.obsolete(data[:60], units=units, original=len(data) + 1)
        if i % 7 == 0:
            out += ng.custom(b"text") + ng.journal() + ng.custom(b"text", copied=False)
            out += ng.block(0x7777, b"unknown") + ng.statistics(ifdrop=i) + ng.secrets(b"key")
        if i % 11 == 0:
            out += ng.block(0x204, bytes(60)) + ng.block(0x208, bytes(60))
    return out


CAPTURES = {
    **{
        f"pcap {order} {magic:x} {version}": pcap(order=order, magic=magic, version=version)
        for order in "<>"
        for magic, version in (
            (build.MICROSECONDS, (2, 4)),
            (build.NANOSECONDS, (2, 4)),
            (build.KUZNETZOV, (2, 4)),
            (build.MICROSECONDS, (2, 2)),
            (build.MICROSECONDS, (2, 3)),
        )
    },
    "pcap, times after 2038": build.pcap_header()
    + b"".join(build.pcap_record(PACKETS[0], seconds=s) for s in (2**31 - 1, 2**31, 2**32 - 1)),
    "pcapng little": pcapng(LITTLE),
    "pcapng big": pcapng(BIG),
    "pcapng mixed": pcapng(BIG) + pcapng(LITTLE) + pcapng(BIG),
    **{
        f"pcapng resolution {resolution:#x}": pcapng(LITTLE, resolution=resolution, offset_s=7)
        for resolution in (3, 6, 8, 9, 0x80 | 10, 0x80 | 20, 0x80 | 30)
    },
    "pcapng cut": pcapng(LITTLE)[:-3],
    "pcapng damaged": pcapng(LITTLE) + LITTLE.packet(b"z", interface=5) + LITTLE.packet(b"y"),
}


@pytest.mark.parametrize("name", sorted(CAPTURES))
def test_frames_are_wiresharks(read_octets, witness, name):
    told = read_octets(CAPTURES[name])
    seen = witness(name)
    assert told.rows
    assert [number for number, *_ in seen] == list(range(1, told.capture.stream.next_frame))
    frames = {number: rest for number, *rest in seen}
    for row in told.rows:
        assert (row.time_ns == NO_TIME) == row.timeless
        assert frames[row.frame] == [
            str(len(row.data)),
            str(row.wire_bytes),
            epoch(row.time_ns, timeless=row.timeless),
            ",".join(row.comments),
        ]
