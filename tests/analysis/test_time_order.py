# SPDX-License-Identifier: Apache-2.0
"""time_order and capture.in_order: captures whose packets are not in the order of time."""

from __future__ import annotations

import json
import random
import struct

import pytest

from genevecap.analysis.hops.latency import latency
from genevecap.analysis.inputs import Inputs
from genevecap.analysis.select import Selector
from genevecap.analysis.sessions.flows import flows
from genevecap.analysis.time_order import MOST_STEPS, TimeOrder
from genevecap.capture import in_order as module
from genevecap.capture.in_order import InOrder, in_order
from genevecap.capture.points import PointTable
from genevecap.capture.reader import Capture
from genevecap.capture.spec import CaptureSpec, on_one_clock
from genevecap.decode import DecodeSettings
from genevecap.errors import DamagedCapture
from genevecap.reports import flows as flows_report
from genevecap.reports import latency as latency_report
from tests.build import captures as build
from tests.conftest import SAMPLES

SET = SAMPLES / "ztunnel-in-pod"
FRAME = bytes(12) + b"\x88\xb5" + bytes(46)


def write(folder, times_ns, name="a.pcap"):
    """Write a capture of one frame for each time; octet 14 on say which it is."""
    path = folder / name
    frames = [FRAME[:14] + struct.pack(">I", i) + FRAME[18:] for i in range(len(times_ns))]
    records = (
        build.pcap_record(frame, fraction=time_ns)
        for frame, time_ns in zip(frames, times_ns, strict=True)
    )
    path.write_bytes(build.pcap_header(magic=build.NANOSECONDS) + b"".join(records))
    return CaptureSpec.parse(str(path))


def read(capture):
    """Return (frame number, time, octets) of all frames, and in how many batches they came."""
    rows, batches = [], 0
    for frames in capture.batches():
        batches += 1
        for i in range(frames.count):
            begin = frames.offset[i]
            octets = bytes(frames.buffer[begin : begin + frames.captured_bytes[i]])
            rows.append((frames.frame[i], frames.time_ns[i], octets))
    return rows, batches


def mixed(*specs):
    inputs, order = Inputs(specs, DecodeSettings(), Selector(), lambda _: None), TimeOrder()
    for batch in inputs.batches():
        order.update(batch)
    return order.mixed(specs)


def test_frames_come_in_the_order_of_time_and_keep_their_numbers(tmp_path):
    times_ns = list(range(1000, 11_000))
    random.Random(1).shuffle(times_ns)
    spec = write(tmp_path, times_ns)
    rows, batches = read(InOrder(spec, PointTable(), 0))
    assert batches > 1
    assert rows == sorted(read(Capture(spec, PointTable(), 0))[0], key=lambda row: row[1])


def test_no_more_is_held_back_than_said(tmp_path, monkeypatch):
    monkeypatch.setattr(InOrder, "held_bytes", 100 * (len(FRAME) + module._FRAME_BYTES))
    times_ns = [1000 + i ^ 3 for i in range(20_000)]
    rows, _ = read(InOrder(write(tmp_path, times_ns), PointTable(), 0))
    assert [row[1] for row in rows] == sorted(times_ns)
    far = [*times_ns[1:], times_ns[0]]
    rows, _ = read(InOrder(write(tmp_path, far), PointTable(), 0))
    assert sorted(row[1] for row in rows) == sorted(far)


def test_what_was_read_before_damage_is_given_in_order(tmp_path):
    spec = write(tmp_path, [3000, 1000, 2000])
    octets = bytearray((tmp_path / "a.pcap").read_bytes())
    octets += struct.pack("<IIII", 0, 0, 2**31, 2**31) + bytes(100)
    (tmp_path / "a.pcap").write_bytes(octets)
    capture, times_ns = InOrder(spec, PointTable(), 0), []

    def gather():
        for frames in capture.batches():
            times_ns.extend(frames.time_ns[: frames.count])

    with pytest.raises(DamagedCapture):
        gather()
    assert times_ns == [1000, 2000, 3000]
    assert capture.cut_short


def test_only_the_captures_that_are_meant_are_sorted(tmp_path):
    spec = write(tmp_path, [2000, 1000])
    open_frames = in_order({1})
    assert [row[0] for row in read(open_frames(spec, PointTable(), 0))[0]] == [1, 2]
    assert [row[0] for row in read(open_frames(spec, PointTable(), 1))[0]] == [2, 1]


def test_shuffled_captures_and_late_packets_are_told_from_a_clock_that_is_set_back(tmp_path):
    even = [i * 10_000 for i in range(1000)]
    shuffled = random.Random(2).sample(even, len(even))
    late = [*even[:500], even[100], *even[500:]]
    set_back = [*even[:500], *even[200:700]]
    queues = [time_ns - 400_000 * (i % 2) for i, time_ns in enumerate(even, 100)]
    specs = [
        write(tmp_path, [10**6 + t for t in times_ns], f"{i}.pcap")
        for i, times_ns in enumerate((even, shuffled, late, set_back, queues))
    ]
    assert mixed(*specs) == {1, 2}


def test_steps_of_a_clock_may_be_some(tmp_path):
    def stepping(steps):
        return [10_000 * (50 * step + i) for step in range(steps + 1) for i in range(200)]

    assert not mixed(write(tmp_path, stepping(MOST_STEPS)))
    assert mixed(write(tmp_path, stepping(MOST_STEPS + 1))) == {0}


def shuffle(path, target, seed):
    """Write a pcapng capture with its packets in any order."""
    octets, at, head, blocks = path.read_bytes(), 0, b"", []
    while at < len(octets):
        kind, size = struct.unpack_from("<II", octets, at)
        if kind == 6:
            blocks.append(octets[at : at + size])
        else:
            head += octets[at : at + size]
        at += size
    random.Random(seed).shuffle(blocks)
    target.write_bytes(head + b"".join(blocks))


def without_frames(value):
    """Drop from a document what numbers frames, and what findings say of order."""
    if isinstance(value, dict):
        return {
            key: without_frames(each)
            for key, each in value.items()
            if key not in {"frames", "path", "findings", "display_filter"}
        }
    return [without_frames(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("ask", "report"), [(flows, flows_report), (latency, latency_report)], ids=["flows", "latency"]
)
def test_a_shuffled_set_is_answered_as_the_set_in_order(ask, report, tmp_path):
    paths = sorted(SET.glob("*.pcapng"))
    for path in paths:
        shuffle(path, tmp_path / path.name, 3)

    said = []

    def answer(folder):
        result = ask(on_one_clock([CaptureSpec.parse(str(folder / p.name)) for p in paths]))
        said.append([problem.message for problem in result.problems])
        return json.loads(json.dumps(report.document(result)))

    whole, mixed_up = answer(SET), answer(tmp_path)
    assert without_frames(mixed_up) == without_frames(whole)
    assert said[0] == said[1]
    found = {finding["code"]: finding["packets"] for finding in mixed_up["findings"]}
    assert found["C04"] > 100
