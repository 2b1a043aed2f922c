# SPDX-License-Identifier: Apache-2.0
"""dumpcap and tcpdump as recorders: start, wait until they record, stop, make sure of no drops."""

from __future__ import annotations

import re
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.lab.namespaces import LabError, wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable
    from pathlib import Path

    from tests.lab.namespaces import Lab

_FULL_SNAPLEN_BYTES = 262_144
_BUFFER_KIB = 16_384
# dumpcap's kernel buffer of each interface, and what may wait between its threads (1,000 packets
# by default, which a storm on a busy machine overruns).
_DUMPCAP_BUFFERS = ("-B", "8", "-N", "300000", "-C", "400000000")
_SETTLE_S = 1.5
"""Longer than libpcap leaves a packet in its buffer (tcpdump 1 s, dumpcap 250 ms)."""

# "Packets received/dropped on interface 'eth0': 120/0 (pcap:0/dumpcap:0/flushed:0/ps_ifdrop:0)"
_DUMPCAP_COUNTS = re.compile(r"interface '([^']*)': (\d+)/(\d+) ")
_TCPDUMP_COUNTS = re.compile(r"(\d+) packets? captured\s+(\d+) packets? received by filter")
_TCPDUMP_DROPS = re.compile(r"(\d+) packets? dropped by")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One running recorder."""

    process: subprocess.Popen[bytes]
    path: Path
    log: Path
    sign: str
    """What the recorder says once it records."""


def start_dumpcap(lab: Lab, namespace: str, interfaces: Iterable[str], path: Path) -> Recording:
    """Record several interfaces into one pcapng: full packets, nanoseconds, interface names."""
    return await_recording(launch_dumpcap(lab, namespace, interfaces, path))


def launch_dumpcap(lab: Lab, namespace: str, interfaces: Iterable[str], path: Path) -> Recording:
    """Start what `start_dumpcap` starts without waiting until it records."""
    named = [word for name in interfaces for word in ("-i", name)]
    snaplen = ("-s", str(_FULL_SNAPLEN_BYTES))
    command = ["dumpcap", *_DUMPCAP_BUFFERS, *named, *snaplen, "-w", str(path)]
    return _launch(lab, namespace, command, path, "File: ")


def start_tcpdump(
    lab: Lab, namespace: str, path: Path, *options: str, snaplen_bytes: int = _FULL_SNAPLEN_BYTES
) -> Recording:
    """Record a classic pcap in nanoseconds; `options` holds at least `-i NAME`."""
    return await_recording(
        launch_tcpdump(lab, namespace, path, *options, snaplen_bytes=snaplen_bytes)
    )


def launch_tcpdump(
    lab: Lab, namespace: str, path: Path, *options: str, snaplen_bytes: int = _FULL_SNAPLEN_BYTES
) -> Recording:
    """Start what `start_tcpdump` starts without waiting until it records."""
    # -Z root: giving up root on the way would lose the right to write into the lab's folder.
    always = ["tcpdump", "-n", "-U", "-Z", "root", "--nano"]
    always += ["-B", str(_BUFFER_KIB), "-s", str(snaplen_bytes)]
    return _launch(lab, namespace, [*always, *options, "-w", str(path)], path, "listening on")


def stop(lab: Lab, recordings: Iterable[Recording], *, may_miss_end: bool = False) -> int:
    """End recorders after the last packet has reached their files; raise LabError on drops.

    Returns the time (ns) up to which all of them recorded.
    may_miss_end: traffic goes on, and what arrives while a recorder ends is not counted as lost.
    """
    time.sleep(_SETTLE_S)
    until_ns = time.time_ns()
    for recording in recordings:
        status = lab.stop(recording.process, signal.SIGINT)
        said = recording.log.read_text()
        if status:
            raise LabError(f"{recording.path.name}: the recorder ended with {status}: {said}")
        drops = drops_in(said)
        if drops is None:
            raise LabError(f"{recording.path.name}: the recorder gave no count of drops: {said}")
        if drops - (unread_in(said) if may_miss_end else 0):
            raise LabError(f"{recording.path.name}: {drops} packets were dropped: {said}")
    return until_ns


def drops_in(said: str) -> int | None:
    """Return the packets a recorder says it lost, in all its counters; None if it says nothing."""
    counts = [int(dropped) for _, _, dropped in _DUMPCAP_COUNTS.findall(said)]
    counts += [int(seen) - int(kept) for kept, seen in _TCPDUMP_COUNTS.findall(said)]
    counts += [int(dropped) for dropped in _TCPDUMP_DROPS.findall(said)]
    return sum(counts) if counts else None


def unread_in(said: str) -> int:
    """Return the packets that waited for tcpdump when it ended."""
    return sum(int(seen) - int(kept) for kept, seen in _TCPDUMP_COUNTS.findall(said))


def await_recording(recording: Recording) -> Recording:
    """Return the recorder once it records; raise LabError if it ended instead."""

    def records() -> bool:
        said = recording.log.read_text()
        if recording.process.poll() is not None:
            raise LabError(f"{recording.path.name}: the recorder ended at once: {said}")
        return recording.sign in said

    wait_until(records, f"the recorder of {recording.path.name}")
    return recording


def _launch(lab: Lab, namespace: str, command: list[str], path: Path, sign: str) -> Recording:
    log = path.with_name(f"{path.name}.log")
    process = lab.start(namespace, *command, log=log)
    return Recording(process=process, path=path, log=log, sign=sign)
