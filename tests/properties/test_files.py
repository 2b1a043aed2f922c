# SPDX-License-Identifier: Apache-2.0
"""Files that are cut, changed or made at random are read as far as they go, by both walks alike."""

from __future__ import annotations

import gzip
import random
import struct
import zlib
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from genevecap.columns import NO_TIME
from genevecap.errors import NotACapture
from tests.build import captures as build
from tests.build.captures import BIG, LITTLE
from tests.capture.reading import WALKS, read

SAMPLES = Path(__file__).parents[2] / "samples"
NAMES = sorted(path.name for path in SAMPLES.glob("*.pcap*"))
"""Not those in folders: they are many, and their files are of the same formats."""
EVERY_OCTET_OF = 4096
SEEDED_CUTS = 1000


@pytest.fixture(params=["readable", "compiled"])
def walk(request):
    if request.param not in WALKS:
        pytest.skip("the compiled record walk was not built")
    return WALKS[request.param]


def agreed(data: bytes, sizes=()):
    """What every walk says of these octets, once they all said the same."""
    first, *others = (read(data, walk, sizes) for walk in WALKS.values())
    for other in others:
        assert other.told() == first.told()
    return first


# --- cuts ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Uncut:
    """A sample, and where its records end: found here, not by the code under test."""

    stored: bytes
    plain: bytes
    head: int
    """Octets without which it is no capture: the file header, or the first section header."""
    ends: dict[int, int]
    """End of each record or block → packets up to there."""
    rows: list

    def rows_within(self, length: int) -> list:
        """The rows of the first `length` octets of `plain`."""
        return self.rows[: max((n for end, n in self.ends.items() if end <= length), default=0)]


def ends_of(plain: bytes) -> dict[int, int]:
    """End of each record → packets so far; the samples are little-endian and of one version."""
    if plain[:4] == b"\x0a\x0d\x0d\x0a":
        position, packets, ends = 0, 0, {}
        while position < len(plain):
            kind, length = struct.unpack_from("<II", plain, position)
            position += length
            packets += kind in {2, 3, 6}
            ends[position] = packets
        return ends
    position, ends = 24, {24: 0}
    while position < len(plain):
        position += 16 + struct.unpack_from("<I", plain, position + 8)[0]
        ends[position] = len(ends)
    return ends


@cache
def uncut(name: str) -> Uncut:
    stored = (SAMPLES / name).read_bytes()
    plain = gzip.decompress(stored) if name.endswith(".gz") else stored
    ends = ends_of(plain)
    told = read(stored, WALKS["readable"])
    assert told.error is None
    assert not told.cut_short
    assert len(told.rows) == ends[len(plain)] > 50
    return Uncut(stored, plain, min(ends), ends, told.rows)


def check_cut(sample: Uncut, length: int, walk) -> None:
    """Everything before the cut is given, and nothing of what is after it."""
    stored = sample.stored[:length]
    compressed = sample.stored is not sample.plain
    plain = zlib.decompressobj(31).decompress(stored) if compressed else stored
    told = read(stored, walk)
    if len(plain) < sample.head:
        assert isinstance(told.error, NotACapture)
        assert told.rows == []
        return
    assert told.error is None
    assert told.rows == sample.rows_within(len(plain))
    assert told.cut_short == (compressed or len(plain) not in sample.ends)


@pytest.mark.parametrize("name", NAMES)
def test_cut_at_every_octet_of_the_beginning(name, walk):
    sample = uncut(name)
    for length in range(min(EVERY_OCTET_OF, len(sample.stored))):
        check_cut(sample, length, walk)


@pytest.mark.parametrize("name", NAMES)
def test_cut_around_every_record(name, walk):
    sample = uncut(name)
    for end in sample.ends:
        for length in {max(end - 1, 0), end, end + 1}:
            if length >= len(sample.plain):
                continue
            told = read(sample.plain[:length], walk)
            if length >= sample.head:
                assert told.error is None
                assert told.rows == sample.rows_within(length)
                assert told.cut_short == (length != end)


@pytest.mark.parametrize("name", NAMES)
def test_cut_at_seeded_offsets(name, walk):
    sample = uncut(name)
    chance = random.Random(name)
    for _ in range(SEEDED_CUTS):
        check_cut(sample, chance.randrange(len(sample.stored)), walk)


@pytest.mark.parametrize("name", NAMES)
def test_cut_compressed_at_seeded_offsets(name):
    sample = uncut(name)
    chance = random.Random(name)
    stored = zstandard.ZstdCompressor(level=1, write_checksum=True).compress(sample.plain)
    for _ in range(SEEDED_CUTS // 10):
        length = chance.randrange(4, len(stored))
        plain = zstandard.ZstdDecompressor().decompressobj().decompress(stored[:length])
        told = agreed(stored[:length])
        if len(plain) >= sample.head:
            assert told.error is None
            assert told.cut_short
            assert told.rows == sample.rows_within(len(plain))
        else:
            assert isinstance(told.error, NotACapture)


# --- changes -------------------------------------------------------------------------------------


def beginning(name: str, packets: int = 25) -> bytes:
    """The first records of a sample."""
    sample = uncut(name)
    return sample.plain[: next(end for end, n in sample.ends.items() if n == packets)]


def everything(ng: build.Pcapng) -> bytes:
    """Every kind of block that says something."""
    return (
        ng.section((1, b"comment"), (4, b"writer"))
        + ng.interface((1, b"comment"), name="eth0", snaplen=9)
        + ng.interface(resolution=9, offset_s=5, link=build.SLL2, name="any")
        + ng.interface(resolution=0x8A, link=101)
        + ng.names((b"\n\0\0\1", "one"))
        + ng.packet(b"packet", (1, b"comment"), units=2**40)
        + ng.packet(bytes(4) + b"\0\0\0\7" + bytes(12), interface=1, units=2**60)
        + ng.packet(b"odd", interface=2, units=2**33)
        + ng.simple(b"simple")
        + ng.obsolete(b"obsolete", (1, b"comment"), interface=2, units=2**20)
        + ng.custom(b"custom")
        + ng.journal()
        + ng.secrets(b"keys")
        + ng.statistics(interface=1, ifdrop=3, osdrop=4, comment="dumpcap:5")
        + ng.packet(b"last")
    )


@cache
def originals() -> tuple[bytes, ...]:
    ours = (
        everything(LITTLE) + everything(BIG),
        build.pcap(*map(bytes, range(30)), order=">", magic=build.KUZNETZOV),
        build.pcap(*map(bytes, range(30)), version=(2, 3)),
    )
    plain = (*(beginning(name) for name in NAMES), *ours)
    squeezed = zstandard.ZstdCompressor(write_checksum=True)
    return (
        *plain,
        *(gzip.compress(data) for data in plain[-3:]),
        *(squeezed.compress(data) for data in plain[-3:]),
    )


WORDS = (0, 1, 3, 4, 12, 28, 32, 36, 2**24, 2**24 + 1, 2**31, 2**32 - 4, 2**32 - 1, 0x0A0D0D0A)


def changed(data: bytes, chance: random.Random) -> bytes:
    """Octets changed, words replaced by awkward ones, parts taken out, doubled or moved."""
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        at = chance.randrange(len(out) or 1)
        match chance.randrange(6):
            case 0 | 1:
                out[at : at + 1] = bytes((chance.randrange(256),))
            case 2 | 3:
                at &= ~3
                word = chance.choice(WORDS) if chance.random() < 0.7 else chance.randrange(100)
                out[at : at + 4] = word.to_bytes(4, chance.choice(("little", "big")))
            case 4:
                del out[at : at + chance.randrange(1, 50)]
            case _:
                out[at:at] = out[chance.randrange(len(out) or 1) :][: chance.randrange(200)]
    return bytes(out)


def check_changed(seed: int, count: int) -> None:
    chance = random.Random(seed)
    for _ in range(count):
        data = changed(chance.choice(originals()), chance)
        sizes = [chance.randint(1, 300) for _ in range(50)] if chance.random() < 0.2 else ()
        told = agreed(data, sizes)
        if told.error is not None:
            assert "\n" not in str(told.error)


@pytest.mark.parametrize("seed", range(8))
def test_changed_files(seed):
    check_changed(seed, 250)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1000, 1100))
def test_many_changed_files(seed):
    check_changed(seed, 1000)


@given(
    which=st.integers(0, 99),
    edits=st.lists(st.tuples(st.integers(0, 10**6), st.binary(min_size=1, max_size=8)), max_size=5),
    sizes=st.lists(st.integers(1, 5000), max_size=20),
)
def test_overwritten_files(which, edits, sizes):
    data = bytearray(originals()[which % len(originals())])
    for at, octets in edits:
        begin = at % len(data)
        data[begin : begin + len(octets)] = octets
    agreed(bytes(data), sizes)


HEADS = (
    b"",
    build.pcap_header(),
    build.pcap_header(order=">", version=(2, 3)),
    LITTLE.section() + LITTLE.interface(),
    BIG.section() + BIG.interface(link=build.SLL2),
    b"\x1f\x8b\x08\0\0\0\0\0\0\0",
    b"\x28\xb5\x2f\xfd",
    b"\x53\x2a\x4d\x18",
)


@given(head=st.sampled_from(HEADS), data=st.binary(max_size=400))
def test_any_octets(head, data):
    agreed(head + data)


# --- captures made at random come back as they were written --------------------------------------

LENGTHS = st.integers(0, 2**32 - 1)
PACKETS = st.tuples(st.binary(max_size=50), LENGTHS, LENGTHS, LENGTHS)


@given(
    order=st.sampled_from("<>"),
    magic=st.sampled_from((build.MICROSECONDS, build.NANOSECONDS, build.KUZNETZOV)),
    packets=st.lists(PACKETS, max_size=30),
    sizes=st.lists(st.integers(1, 100), max_size=20),
)
def test_pcap_comes_back(order, magic, packets, sizes):
    header = build.pcap_header(order=order, magic=magic)
    records = [
        build.pcap_record(
            data,
            order=order,
            seconds=seconds,
            fraction=fraction,
            original=original,
            kuznetzov=magic == build.KUZNETZOV,
        )
        for data, seconds, fraction, original in packets
    ]
    told = agreed(header + b"".join(records), sizes)
    unit_ns = 1 if magic == build.NANOSECONDS else 1000
    assert told.error is None
    assert [(row.data, row.time_ns, row.wire_bytes) for row in told.rows] == [
        (data, seconds * 10**9 + fraction * unit_ns, original)
        for data, seconds, fraction, original in packets
    ]


INTERFACES = st.tuples(
    st.sampled_from((0, 3, 6, 9, 11, 12, 19, 0x80, 0x83, 0x8A, 0xA0, 0xC0)),
    st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-(10**10), 10**10)),
)
NG_PACKETS = st.tuples(
    st.integers(0, 2),
    st.integers(0, 2**64 - 1),
    st.binary(max_size=30),
    LENGTHS,
    st.sampled_from(("packet", "obsolete")),
    st.lists(st.text(max_size=5).filter(lambda text: "\0" not in text), max_size=2),
)
SECTIONS = st.tuples(
    st.sampled_from((LITTLE, BIG)),
    st.lists(INTERFACES, min_size=3, max_size=3),
    st.lists(NG_PACKETS, max_size=10),
)


@given(sections=st.lists(SECTIONS, min_size=1, max_size=4), sizes=st.lists(st.integers(1, 100)))
def test_pcapng_comes_back(sections, sizes):
    written, expected = [], []
    for ng, interfaces, packets in sections:
        written.append(ng.section())
        for number, (resolution, offset_s) in enumerate(interfaces):
            written.append(
                ng.interface(name=f"if{number}", resolution=resolution, offset_s=offset_s)
            )
        for number, units, data, original, kind, comments in packets:
            options = [(1, comment.encode()) for comment in comments]
            write = ng.packet if kind == "packet" else ng.obsolete
            written.append(write(data, *options, interface=number, units=units, original=original))
            resolution, offset_s = interfaces[number]
            base = 2 if resolution & 0x80 else 10
            exact = units * 10**9 // base ** (resolution & 0x7F) + offset_s * 10**9
            time_ns = exact if -(2**63) < exact < 2**63 else NO_TIME
            expected.append((f"x/if{number}", time_ns, data, original, tuple(comments)))
    told = agreed(b"".join(written), sizes)
    assert told.error is None
    assert [row.frame for row in told.rows] == list(range(1, len(expected) + 1))
    assert [
        (row.point, row.time_ns, row.data, row.wire_bytes, row.comments) for row in told.rows
    ] == expected


def test_ends_of_records_are_found_here_as_the_builder_made_them():
    parts = [LITTLE.section(), LITTLE.interface(), LITTLE.packet(b"abc"), LITTLE.custom(b"x")]
    assert ends_of(b"".join(parts)) == dict(
        zip(accumulate(map(len, parts)), (0, 0, 1, 1), strict=True)
    )
    assert ends_of(build.pcap(b"abc", b"")) == {24: 0, 43: 1, 59: 2}
