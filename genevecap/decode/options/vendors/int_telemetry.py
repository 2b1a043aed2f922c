# SPDX-License-Identifier: Apache-2.0
"""In-band Network Telemetry (INT) of the P4.org Applications Working Group, version 2.

```
 0                   1                   2                   3
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|Ver = 2|D|E|M|       Reserved        | Hop ML  |RemainingHopCnt|    INT-MD (INT-MX: reserved)
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|      Instruction Bitmap       |       Domain Specific ID      |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|        DS Instruction         |           DS Flags            |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|  INT-MD: metadata stack, newest hop first (Hop ML words a hop)
```

Version 1 has a shorter header, so other versions are left undecoded.  The stack is not cut into
hops: what the source alone adds has a length that only its domain knows.
The specification leaves the option type open; the INT header types are in use for it.
"""

from __future__ import annotations

from genevecap.decode.options.layout import (
    MAX_DATA_BYTES,
    REST,
    Field,
    Layout,
    between,
    flag,
    hexadecimal,
    octets,
)

CLASS = 0x0103
OWNER = "In-band Network Telemetry"
HEADER_BYTES = 12
SOURCE = (
    "p4lang/p4-applications telemetry/specs/INT.mdk @00b765be (INT-MD and INT-MX Metadata Header"
    " Format); use of header types 1, 2, 3 as option types: libgeneve-go"
)

INSTRUCTIONS = {
    0: "switch ID",
    1: "level 1 port IDs",
    2: "hop latency",
    3: "queue ID and occupancy",
    4: "ingress timestamp",
    5: "egress timestamp",
    6: "level 2 port IDs",
    7: "egress port utilization",
    8: "buffer ID and occupancy",
    15: "checksum complement",
}
"""Bit of the instruction bitmap, counted from the most significant, to what each hop reports."""


def _instructions(number: int, bits: int) -> tuple[int, str]:
    """Read the instruction bitmap, bits without a meaning by their number."""
    wanted = [bit for bit in range(bits) if number >> (bits - 1 - bit) & 1]
    names = ", ".join(INSTRUCTIONS.get(bit, f"bit {bit}") for bit in wanted)
    return number, f"0x{number:04x} ({names or 'nothing'})"


def _words(number: int, _bits: int) -> tuple[int, str]:
    """Read a length in words of four octets."""
    return number, f"{number} ({4 * number} bytes)"


_FLAGS = (
    Field("version", 4, required=2),
    Field("discard", 1, flag),
    Field("max_hop_count_exceeded", 1, flag),
    Field("mtu_exceeded", 1, flag),
)
_INSTRUCTION = (
    Field("instruction_bitmap", 16, _instructions),
    Field("domain_specific_id", 16, hexadecimal),
    Field("ds_instruction", 16, hexadecimal),
    Field("ds_flags", 16, hexadecimal),
)

LAYOUTS = (
    Layout(
        option_class=CLASS,
        option_type=0x01,
        owner=OWNER,
        name="INT-MD",
        data_bytes=between(HEADER_BYTES, MAX_DATA_BYTES),
        fields=(
            *_FLAGS,
            Field("reserved", 12),
            Field("hop_metadata_length_words", 5, _words),
            Field("remaining_hop_count", 8),
            *_INSTRUCTION,
            Field("metadata_stack", REST, octets),
        ),
        source=SOURCE,
        note="version 2 only",
    ),
    Layout(
        option_class=CLASS,
        option_type=0x02,
        owner=OWNER,
        name="INT destination",
        data_bytes=between(0, MAX_DATA_BYTES),
        fields=(Field("data", REST, octets),),
        source=SOURCE,
        note="no version of the specification defines its format",
    ),
    Layout(
        option_class=CLASS,
        option_type=0x03,
        owner=OWNER,
        name="INT-MX",
        data_bytes=between(HEADER_BYTES, MAX_DATA_BYTES),
        fields=(
            *_FLAGS,
            Field("reserved", 25),
            *_INSTRUCTION,
            Field("source_inserted_metadata", REST, octets),
        ),
        source=SOURCE,
        note="version 2 only; source-inserted metadata since 2.1",
    ),
)
