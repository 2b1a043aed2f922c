# SPDX-License-Identifier: Apache-2.0
"""From the dissector's record of a capture to what genevecap should say about each frame.

Pure: nothing here knows what genevecap answered, so whether a frame is compared in full or only
down to some layer is decided by the truth alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .readings import AtLeast, Beginning, Congruent, Reading
from .walk import Layer, Walk, completions, steps

if TYPE_CHECKING:
    from collections.abc import Mapping

FRAME_LENGTH_CEILING = 2**31 - 1
INT64_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedFrame:
    """What genevecap should say about one frame.

    reading: None for a block that the dissector numbers but that holds no packet (no row).
    skipped_at: the layer that is not decoded, down to which the frame is compared, or None.
    """

    number: int
    reading: Reading | None
    skipped_at: str | None
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedFile:
    """What genevecap should say about one file.

    complete: whether the dissector read the file to its end; where it did not, more rows than it
      has frames are no difference.
    exit_codes: those that are right.
    """

    name: str
    frames: tuple[ExpectedFrame, ...]
    complete: bool
    exit_codes: frozenset[int]


def expected_file(truth: Mapping[str, Any]) -> ExpectedFile:
    """Return what genevecap should say about the capture that `truth` is the record of.

    truth: the content of a `.truth.json` file.
    """
    if not is_capture(truth):
        return ExpectedFile(name=truth["file"], frames=(), complete=True, exit_codes=frozenset({3}))
    complete = truth["tshark"]["rc"] == 0
    datagrams = completions(truth["frame_list"])
    return ExpectedFile(
        name=truth["file"],
        frames=tuple(_expected_frame(f, datagrams) for f in truth["frame_list"]),
        complete=complete,
        exit_codes=frozenset({0}) if complete else frozenset({0, 3}),
    )


def is_capture(truth: Mapping[str, Any]) -> bool:
    """Return whether the file is a pcap or pcapng at all, as far as the dissector can tell."""
    for line in truth["capinfos_long"]:
        if line.startswith("File type:"):
            return "pcap" in line
    return True


def _expected_frame(
    record: Mapping[str, Any],
    datagrams: Mapping[tuple[str, ...], list[Layer]],
) -> ExpectedFrame:
    if record.get("not_packet"):
        return ExpectedFrame(number=record["n"], reading=None, skipped_at=None, record=record)
    walk = Walk(datagrams)
    walk.run(steps(record))
    reading = Reading(
        captured_bytes=record["cap_len"],
        wire_bytes=_wire_bytes(record["len"]),
        time_ns=time_ns(record["time_epoch"]),
        tunnels=tuple(walk.tunnels),
        inner=walk.inner,
        layers=Beginning(tuple(walk.layers), further=walk.further_layers),
    )
    return ExpectedFrame(
        number=record["n"], reading=reading, skipped_at=walk.skipped_at, record=record
    )


def _wire_bytes(length: int) -> int | AtLeast:
    """The dissector keeps a frame's length in a signed 32-bit integer."""
    return AtLeast(length) if length == FRAME_LENGTH_CEILING else length


def time_ns(printed: str) -> int | Congruent | None:
    """Return the dissector's `frame.time_epoch` in ns; none where the record has no time stamp.

    It keeps the fraction in a signed 32-bit count of ns, into which it multiplies µs without a
    check, and prints a sign where that is negative: then the fraction is known modulo 2**32 only.
    A time outside int64 is null by contract.
    """
    if not printed:
        return None
    match = re.fullmatch(r"(-?)(\d+)\.(\d{9,})", printed)
    if match is None:
        raise ValueError(f"not a time: {printed!r}")
    sign, seconds, fraction = match[1], int(match[2]), int(match[3])
    if sign or fraction >= 10**9:
        return Congruent(seconds, (-fraction if sign else fraction) % 2**32)
    time = seconds * 10**9 + fraction
    return time if time <= INT64_MAX else None
