# SPDX-License-Identifier: Apache-2.0
"""Sets of captures with octets, times and frames changed: every analysis answers, none raises."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path

import pytest

from genevecap.analysis.costs.overhead import overhead
from genevecap.analysis.hops.latency import latency
from genevecap.analysis.sessions.flows import flows
from genevecap.analysis.summary import inspect
from genevecap.capture.spec import CaptureSpec, on_one_clock
from genevecap.errors import GenevecapError
from genevecap.reports import flows as flows_report
from genevecap.reports import latency as latency_report
from genevecap.reports import machine
from genevecap.reports import overhead as overhead_report
from genevecap.reports.layout import Style
from tests.conftest import SAMPLES

SETS = sorted(path for path in SAMPLES.iterdir() if path.is_dir())
ENHANCED_PACKET, PACKET_OFFSET = 6, 28
HEADER_OCTETS = (12, 14, 16, 20, 23, 24, 28, 30, 34, 38, 42, 46, 47, 54, 60)
REPORTS = ((flows, flows_report), (latency, latency_report), (overhead, overhead_report))


def packets(octets):
    """Yield where the packet of each enhanced packet block is, and its captured length."""
    at = 0
    while at + 12 <= len(octets):
        kind, size = struct.unpack_from("<II", octets, at)
        if kind == ENHANCED_PACKET:
            yield at + PACKET_OFFSET, struct.unpack_from("<I", octets, at + 20)[0]
        at += size


def flip(chance, octets, at, size, _places):
    octets[at + chance.randrange(size)] = chance.randrange(256)


def header(chance, octets, at, size, _places):
    octets[at + min(chance.choice(HEADER_OCTETS), size - 1)] = chance.choice((0, 255, 64))


def moment(chance, octets, at, _size, _places):
    high = chance.choice((0, 2**32 - 1, 2**31, chance.getrandbits(32)))
    struct.pack_into("<I", octets, at - 16, high)


def another(chance, octets, at, size, places):
    other, other_size = chance.choice(places)
    shared = min(size, other_size)
    octets[at : at + shared] = octets[other : other + shared]


def record(chance, octets, at, size, _places):
    """Something that looks like TLS records."""
    place = at + chance.randrange(min(size, 200))
    for i in range(place, min(place + 4, at + size)):
        octets[i] = chance.choice((0x16, 0x17, 0x03, 0x00, 0xFF))


CHANGES = (flip, header, moment, another, record)


def changed(chance, folder, target):
    """Write some captures of a set with one kind of change; return them."""
    files = sorted(folder.glob("*.pcapng"))
    change, specs = chance.choice(CHANGES), []
    for path in chance.sample(files, chance.randint(1, len(files))):
        octets = bytearray(path.read_bytes())
        places = [place for place in packets(octets) if place[1]]
        for _ in range(chance.choice((1, 5, 50, 400))):
            change(chance, octets, *chance.choice(places), places)
        if chance.random() < 0.1:
            del octets[chance.randrange(500, len(octets)) :]
        copy = Path(target) / path.name
        copy.write_bytes(octets)
        specs.append(CaptureSpec.parse(str(copy)))
    return on_one_clock(specs) if chance.random() < 0.7 else specs


def analyse(specs):
    for ask, report in REPORTS:
        try:
            result = ask(specs)
        except GenevecapError:
            continue  # of several hosts without common packets the clocks are not known
        json.dumps(report.document(result))
        list(report.lines(result, Style()))
    list(machine.json_pieces({"findings": len(inspect(specs).findings)}))


# 1016: a server leg has a request that the capture of its client leg lost.
@pytest.mark.parametrize("seed", [*range(12), 1016])
def test_changed_sets_are_answered(seed, tmp_path):
    chance = random.Random(seed)
    analyse(changed(chance, chance.choice(SETS), tmp_path))


@pytest.mark.long
def test_many_changed_sets_are_answered(tmp_path):
    for seed in range(1000, 1250):
        chance = random.Random(seed)
        target = tmp_path / str(seed)
        target.mkdir()
        analyse(changed(chance, chance.choice(SETS), target))
