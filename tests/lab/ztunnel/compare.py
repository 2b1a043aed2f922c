# SPDX-License-Identifier: Apache-2.0
"""Compare the real ztunnel with the stand-in: record sizes, order, closing.

    python -m tests.lab.ztunnel.compare REAL OURS

REAL and OURS are folders of a recorded set (cli.pcapng, plain or .gz, and sslkeylog.txt), or
CAPTURE,KEYLOG. Instead of OURS, `--run VERSION` makes one on loopback with the like of the set's
traffic (needs tcpdump and root). Prints one line per kind of record and says what differs; status
1 if a size differs that AMBIENT relies on.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.lab.ztunnel.dissection import CannotDissect, Dissection, dissect

MARKERS = (
    "CONNECT (later)",
    "SETTINGS + WINDOW_UPDATE + CONNECT (first)",
    "SETTINGS",
    "SETTINGS ACK",
    "SETTINGS ACK + WINDOW_UPDATE",
    "200 (first)",
    "200 (later)",
    "503 (first) + RST_STREAM",
    "503 (later) + RST_STREAM",
    "401 (first) + RST_STREAM",
    "401 (later) + RST_STREAM",
    "END_STREAM",
    "PING",
    "PING ACK",
    "GOAWAY",
    "DATA alone, of 256 bytes and more",
)
"""Records whose size says what they are."""
_TOLERANCE_BYTES = 3
"""Headers hold addresses and random ids, whose Huffman codes differ in length."""
_FULL_READS = (1050, 16_346)
_SHOWN = 6


def compare(real: Dissection, ours: Dissection) -> tuple[list[str], list[str]]:
    """Return the lines of the table, and what differs."""
    lines = [f"{'record':<46} {'real':<36} ours"]
    differences = []
    for name in sorted({*real.sizes, *ours.sizes}, key=_rank):
        theirs, own = real.sizes.get(name, Counter()), ours.sizes.get(name, Counter())
        if name in MARKERS or sum(theirs.values()) + sum(own.values()) >= 10:
            lines.append(f"{name[:46]:<46} {_told(theirs):<36} {_told(own)}")
        if name in MARKERS and theirs and own:
            differences += _difference(name, theirs, own)
        elif name in MARKERS and (theirs or own):
            lines.append(f"  only {'the real one' if theirs else 'ours'} sent it")
    shares = (f"{_gathered(one):.0%}" for one in (real, ours))
    lines.append(f"{'records of several frames':<46} {next(shares):<36} {next(shares)}")
    for title, one, other in (
        ("opening", real.openings, ours.openings),
        ("end of a stream", real.stream_ends, ours.stream_ends),
        ("end of a connection", real.connection_ends, ours.connection_ends),
    ):
        lines += [
            f"{title}: {what}: real {one[what]}, ours {other[what]}"
            for what in sorted({*one, *other})
        ]
    return lines, differences


def _difference(name: str, real: Counter[int], ours: Counter[int]) -> list[str]:
    if name.startswith("DATA"):
        missing = [size for size in _FULL_READS if bool(real[size]) != bool(ours[size])]
        return [f"{name}: {size} is only in one of both" for size in missing]
    low, high = min(real) - _TOLERANCE_BYTES, max(real) + _TOLERANCE_BYTES
    exact = "CONNECT" not in name and "200 (first)" not in name
    odd = sorted(size for size in ours if (size not in real if exact else not low <= size <= high))
    return [f"{name}: real {_told(real)}, ours also {odd}"] if odd else []


def _gathered(found: Dissection) -> float:
    counts = {name: sum(sizes.values()) for name, sizes in found.sizes.items()}
    several = sum(count for name, count in counts.items() if " + " in name)
    return several / sum(counts.values())


def _rank(name: str) -> tuple[int, str]:
    return (MARKERS.index(name) if name in MARKERS else len(MARKERS)), name


def _told(sizes: Counter[int]) -> str:
    if not sizes:
        return "-"
    shown = [f"{size}x{count}" for size, count in sizes.most_common(_SHOWN)]
    return " ".join(shown) + (f" +{len(sizes) - _SHOWN}" if len(sizes) > _SHOWN else "")


def find(text: str) -> tuple[Path, Path]:
    """Return capture and key log of a folder or of CAPTURE,KEYLOG. Raises CannotDissect."""
    capture, _, keylog = text.partition(",")
    if keylog:
        return Path(capture), Path(keylog)
    folder = Path(text)
    for name in ("cli.pcapng", "cli.pcapng.gz"):
        if (folder / name).is_file():
            return folder / name, folder / "sslkeylog.txt"
    raise CannotDissect(f"{folder} holds no cli.pcapng")


def main(arguments: list[str]) -> int:
    """Run the comparison; return the process's exit status."""
    if len(arguments) not in {2, 3} or (len(arguments) == 3) != ("--run" in arguments):
        sys.stderr.write(f"{__doc__}\n")
        return 2
    try:
        real = dissect(*find(arguments[0]))
        if len(arguments) == 3:
            from tests.lab.ztunnel.recorded import record

            with tempfile.TemporaryDirectory(prefix="genevecap-compare-") as folder:
                ours = dissect(*record(Path(folder), arguments[2]))
        else:
            ours = dissect(*find(arguments[1]))
    except (CannotDissect, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    lines, differences = compare(real, ours)
    sys.stdout.write("\n".join([*lines, "", *(differences or ["no marker differs"]), ""]))
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
