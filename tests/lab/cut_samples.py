# SPDX-License-Identifier: Apache-2.0
"""Cut the small samples of the real ztunnel from recorded sets, and say what was kept and why.

`python -m tests.lab.cut_samples SHARED_LAB OUTDIR`, with `samples` as OUTDIR, writes
`samples/ztunnel-*/` anew and puts the packet counts into the README of the samples. The same sets
give the same bytes.

Packets are kept or left out, never changed: bytes, times, order in the file, interfaces and their
statistics are the recording's. Only the names of processor and kernel are taken out.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab import cut_packets, cut_truth, samplefiles
from tests.lab.cut_recipes import RECIPES
from tests.lab.namespaces import LabError, LabUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tests.lab.cut_packets import Block, Pair
    from tests.lab.cut_truth import Recipe, Truth, Window

    Recordings = dict[str, list[Block]]

_HBONE_PORT = ":15008"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CLIENT_RANDOM = slice(11, 43)
"""In a segment that begins with a ClientHello: after record header (5 octets), handshake header (4)
and version (2); RFC 8446 section 4.1.2."""
_HANDSHAKE_RECORD, _CLIENT_HELLO = 22, 1


def cut(name: str, recipe: Recipe, lab: Path, folder: Path) -> dict[str, int]:
    """Write the files of one sample into `folder`; return the packet count of each capture."""
    source = lab / recipe.source
    if not source.is_dir():
        raise LabUnavailable(f"{lab} has no recorded set {recipe.source}")
    truth: Truth = json.loads((source / "truth.json").read_text())
    recordings = {
        capture: cut_packets.read_blocks(source / f"{capture}.pcapng.gz")
        for capture in recipe.captures
    }
    flows = cut_truth.kept_flows(recipe, truth)
    unnamed = _unnamed(flows, truth, recordings)
    windows = cut_truth.windows(recipe, truth, unnamed)
    _check(flows, windows, recordings)

    key_log = _key_log(source / "sslkeylog.txt", windows, recordings)
    logs = {
        "sslkeylog.txt": key_log,
        "ztA.log": _access_log(source / "ztA.log", flows, windows),
        "ztB.log": _access_log(source / "ztB.log", flows, windows),
        "waypoint-access.log": _waypoint_log(source / "waypoint-access.log", flows),
    }
    for file, text in logs.items():
        if text:
            (folder / file).write_text(text)
    counts = {}
    for capture, blocks in recordings.items():
        secret = key_log if capture == recipe.secrets_in else ""
        path = folder / f"{capture}.pcapng"
        path.write_bytes(_file(blocks, windows, secret))
        counts[path.name] = samplefiles.count_packets(path.read_bytes())
        if not counts[path.name]:
            raise LabError(f"{name}/{path.name}: no packet of the kept connections")
    sample = cut_truth.truth_of_sample(name, recipe, truth, _not_whole(windows, recordings), counts)
    sample["cut"]["connections_without_name"] = [
        {"ends": list(pair), "sessions": clients} for pair, clients in sorted(unnamed.items())
    ]
    (folder / "truth.json").write_text(json.dumps(sample, indent=1) + "\n")
    return counts


def _packets(recordings: Recordings) -> Iterator[tuple[int, cut_packets.Segment]]:
    """Yield time and segment of every packet of every capture."""
    for blocks in recordings.values():
        for block in blocks:
            if block.segment is not None and block.time_ns is not None:
                yield block.time_ns, block.segment


def _unnamed(flows: list[Truth], truth: Truth, recordings: Recordings) -> dict[Pair, list[str]]:
    """Return connections that the truth does not name, with the sessions each may belong to.

    Where no request reached a server, the set's truth has no conn3, though ztunnel opened one that
    was refused or stayed idle; and where 15008 never answered, it has no conn2. A session is named
    by its client's end.
    """
    taken = {pair for flow in truth["flows"] for pair in cut_truth.connections(flow)}
    opened: dict[tuple[str, str], int] = {}
    for time_ns, segment in sorted(_packets(recordings)):
        if segment.opens and segment.pair not in taken:
            opened.setdefault((segment.source, segment.destination), time_ns)
    found: dict[Pair, list[str]] = {}
    for flow in flows:
        client, conn1, conn2 = _host(flow["conn1"]["client"]), flow["conn1"], flow["conn2"]
        if conn2 is None and flow["outcome"] == "unreachable":
            target, since_ns, until_ns = _host(conn1["dst"]) + _HBONE_PORT, conn1["t_connect"], None
        elif conn2 is not None and flow["session_kind"] == "hbone" and flow["conn3"] is None:
            target, since_ns, until_ns = conn2["authority"], conn2["t_connect"], conn2["t_status"]
        else:
            continue
        for (source, destination), time_ns in opened.items():
            in_time = time_ns >= since_ns and (until_ns is None or time_ns <= until_ns)
            if in_time and destination == target and _host(source) == client:
                ends = cut_packets.pair(source, destination)
                found.setdefault(ends, []).append(conn1["client"])
    return found


def _check(flows: list[Truth], windows: dict[Pair, Window], recordings: Recordings) -> None:
    """Raise LabError unless each connection is there, with its start, and its ports met once."""
    starts: dict[Pair, set[int]] = {}
    for _, segment in _packets(recordings):
        if segment.opens:
            starts.setdefault(segment.pair, set()).add(segment.sequence)
    # Behind a redirection only replies name the destination: that pair has no SYN of its own.
    replies = {cut_packets.pair(flow["conn1"]["client"], flow["conn1"]["dst"]) for flow in flows}
    for pair in windows:
        times = len(starts.get(pair, ()))
        if times != (pair not in replies):
            raise LabError(f"{' and '.join(pair)}: opened {times} times in the captures, not once")


def _not_whole(windows: dict[Pair, Window], recordings: Recordings) -> dict[Pair, Window]:
    """Return the kept connections of which packets are left out."""
    return {
        segment.pair: windows[segment.pair]
        for time_ns, segment in _packets(recordings)
        if segment.pair in windows and not windows[segment.pair].holds(time_ns)
    }


def _file(blocks: Iterable[Block], windows: dict[Pair, Window], key_log: str) -> bytes:
    """Return the pcapng of the kept packets, with the keys before the first packet."""
    octets = []
    for block in blocks:
        if block.kind == cut_packets.ENHANCED_PACKET:
            if key_log:
                octets.append(cut_packets.secrets_block(key_log))
                key_log = ""
            if block.segment is None or block.time_ns is None:
                continue
            window = windows.get(block.segment.pair)
            if window is None or not window.holds(block.time_ns):
                continue
        octets.append(block.octets)
    return samplefiles.without_machine(b"".join(octets))


def _key_log(path: Path, windows: dict[Pair, Window], recordings: Recordings) -> str:
    """Return the key log's lines of the HBONE connections whose handshake is kept."""
    randoms = {
        segment.payload[_CLIENT_RANDOM].hex()
        for time_ns, segment in _packets(recordings)
        if segment.destination.endswith(_HBONE_PORT)
        and segment.pair in windows
        and windows[segment.pair].holds(time_ns)
        and len(segment.payload) >= _CLIENT_RANDOM.stop
        and (segment.payload[0], segment.payload[5]) == (_HANDSHAKE_RECORD, _CLIENT_HELLO)
    }
    return _lines(path, lambda line: line.split(" ")[1] in randoms)


def _access_log(path: Path, flows: list[Truth], windows: dict[Pair, Window]) -> str:
    """Return the lines of the kept sessions: outbound by conn1's client, inbound by conn2's."""
    whole = {flow["conn1"]["client"] for flow in flows}
    kept = {end: window for pair, window in windows.items() for end in pair}

    def belongs(line: str) -> bool:
        client = line.partition("src.addr=")[2].partition(" ")[0]
        inbound = client in kept and kept[client].holds(_time_ns(line.partition("\t")[0]))
        return client in whole or inbound

    return _lines(path, belongs)


def _waypoint_log(path: Path, flows: list[Truth]) -> str:
    if not path.exists():
        return ""
    kept = cut_truth.request_ids(flows)
    return _lines(path, lambda line: json.loads(line)["id"] in kept)


def _lines(path: Path, belongs: Callable[[str], bool]) -> str:
    return "".join(line for line in path.read_text().splitlines(keepends=True) if belongs(line))


def _time_ns(text: str) -> int:
    """Return the nanoseconds since the epoch of a log's `2026-01-01T00:00:00.000000Z`."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1) * 1000


def _host(end: str) -> str:
    return end.rpartition(":")[0]


def publish(lab: Path, folder: Path, names: Sequence[str]) -> Iterator[tuple[str, dict[str, int]]]:
    """Cut these samples into `folder`; yield each with its counts once its files are in place.

    Nothing of `folder` changes for a sample that cannot be cut or has a file that is too large.
    """
    for name in names:
        with tempfile.TemporaryDirectory(prefix=".cutting-", dir=folder) as staging_name:
            staging = Path(staging_name)
            counts = cut(name, RECIPES[name], lab, staging)
            for path in sorted(staging.iterdir()):
                size_bytes = path.stat().st_size
                if size_bytes >= samplefiles.LARGEST_SAMPLE_BYTES:
                    raise LabError(f"{name}/{path.name}: {size_bytes} bytes are too many")
            in_table = {f"{name}/{file}": count for file, count in counts.items()}
            readme = folder / "README.md"
            table = readme.read_text() if readme.exists() else None
            if table is not None:
                table = samplefiles.update_counts(table, in_table)
            target = folder / name
            target.mkdir(exist_ok=True)
            for path in sorted(staging.iterdir()):
                path.replace(target / path.name)
            if table is not None:
                readme.write_text(table)
        yield name, counts


def main(arguments: Sequence[str] | None = None) -> int:
    """Cut all samples; return the exit status: 0 done, 1 failed, 2 no such sets."""
    parser = argparse.ArgumentParser(prog="cut_samples", description=__doc__)
    parser.add_argument("lab", type=Path, metavar="SHARED_LAB", help="folder of recorded sets")
    parser.add_argument("outdir", type=Path, metavar="OUTDIR", help="folder of the samples")
    options = parser.parse_args(arguments)
    options.outdir.mkdir(parents=True, exist_ok=True)
    try:
        for name, counts in publish(options.lab, options.outdir, list(RECIPES)):
            sys.stdout.write(f"{name}, from {RECIPES[name].source}:\n")
            sys.stdout.writelines(f"  {file}: {count} packets\n" for file, count in counts.items())
            sys.stdout.write(textwrap.indent(RECIPES[name].why, "  "))
    except LabError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2 if isinstance(error, LabUnavailable) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
