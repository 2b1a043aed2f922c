# SPDX-License-Identifier: Apache-2.0
"""The functions that `import genevecap` offers: names and paths in, results out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypedDict, Unpack

from .analysis import packets as packet_rows
from .analysis import summary
from .analysis.comparison import encapsulation
from .analysis.comparison.encapsulation_results import EncapsulationDiff
from .analysis.comparison.results import CaptureDiff
from .analysis.convert import Conversion, ConvertResult, is_pcapng_name
from .analysis.costs.overhead import overhead as overhead_of
from .analysis.costs.results import OverheadResult
from .analysis.hops.results import LatencyResult
from .analysis.points import listing as point_listing
from .analysis.points.listing import PointsResult
from .analysis.results import InspectResult, PacketRow, Problem, Problems
from .analysis.select import Selector, TimeBound
from .analysis.sessions.results import FlowsResult
from .capture.manifest import Manifest
from .capture.points import PointTable
from .capture.reader import Capture
from .capture.spec import CaptureSpec, captures_of, on_one_clock
from .capture.whole_file import open_binary_file
from .decode.settings import DecodeSettings
from .errors import UnreadableCapture


class Selection(TypedDict, total=False):
    """The selectors of the command line, as keyword arguments."""

    vnis: tuple[int, ...]
    addresses: tuple[str, ...]
    ports: tuple[int, ...]
    points: tuple[str, ...]
    since: str | None
    until: str | None


def open_capture(capture: str) -> Capture:
    """Open one capture, given as on the command line: `[NAME[@HOST]=]PATH`.

    `batches()` of the result yields frames as columns; one batch is valid until the next.
    Raises CaptureError where nothing of it can be read.
    """
    return Capture(CaptureSpec.parse(capture), PointTable(), 0)


def inspect(
    *captures: str,
    settings: DecodeSettings | None = None,
    manifest: str | None = None,
    checksums: bool = False,
    **selection: Unpack[Selection],
) -> InspectResult:
    """Return what is in these captures; the selectors are those of the command line.

    manifest: path of the file that the command line takes with `--points`.
    checksums: whether the UDP checksums of Geneve and VXLAN are verified too, which takes longer.
    A capture that cannot be read does not raise: see `problems` of the result.
    Raises UsageError where a selector or the manifest cannot be understood.
    """
    return summary.inspect(
        [CaptureSpec.parse(capture) for capture in captures],
        settings=settings,
        selector=_selector(**selection),
        manifest=_manifest(manifest),
        checksums=checksums,
    )


def packets(
    *captures: str,
    settings: DecodeSettings | None = None,
    manifest: str | None = None,
    on_problem: Callable[[Problem], None] | None = None,
    **selection: Unpack[Selection],
) -> Iterator[PacketRow]:
    """Yield one row for every selected frame of these captures, in file order.

    manifest: path of the file that the command line takes with `--points`.
    on_problem is told what goes wrong with a capture; without it that is passed over in silence.
    Raises UsageError where a selector or the manifest cannot be understood.
    """
    return packet_rows.packets(
        [CaptureSpec.parse(capture) for capture in captures],
        settings=settings,
        selector=_selector(**selection),
        manifest=_manifest(manifest),
        on_problem=on_problem or _pass_over,
    )


def points(
    *captures: str, settings: DecodeSettings | None = None, manifest: str | None = None
) -> PointsResult:
    """Return what the capture points of these captures are, and why that is believed.

    manifest: path of the file that the command line takes with `--points`.
    A capture that cannot be read does not raise: see `problems` of the result.
    Raises UsageError where the manifest cannot be understood.
    """
    return point_listing.list_points(
        [CaptureSpec.parse(capture) for capture in captures],
        settings=settings,
        manifest=_manifest(manifest),
    )


def overhead(
    *captures: str,
    mtu_bytes: int | None = None,
    settings: DecodeSettings | None = None,
    manifest: str | None = None,
    **selection: Unpack[Selection],
) -> OverheadResult:
    """Return what encapsulation and interception cost in these captures, and the MTU they leave.

    mtu_bytes: of the links at every capture point; None to go by what hosts announce.
    manifest: path of the file that the command line takes with `--points`.
    Raises UsageError where a selector or the manifest cannot be understood.
    """
    return overhead_of(
        [CaptureSpec.parse(capture) for capture in captures],
        mtu_bytes=mtu_bytes,
        settings=settings,
        selector=_selector(**selection),
        manifest=_manifest(manifest),
    )


def diff_encapsulations(
    *captures: str,
    option_bytes: int | None = None,
    outer_mtu_bytes: int = 1500,
    settings: DecodeSettings | None = None,
    **selection: Unpack[Selection],
) -> EncapsulationDiff:
    """Compare VXLAN and Geneve on the traffic of captures, or without any on standard packets.

    option_bytes: Geneve options of each packet, option headers included; None for the observed.
    Raises UsageError where a selector cannot be understood.
    """
    return encapsulation.diff_encapsulations(
        [CaptureSpec.parse(capture) for capture in captures],
        option_bytes=option_bytes,
        outer_mtu_bytes=outer_mtu_bytes,
        settings=settings,
        selector=_selector(**selection),
    )


def diff_captures(
    a: Sequence[str],
    b: Sequence[str],
    *,
    same_clock: bool = False,
    clocks: tuple[str, ...] = (),
    settings: DecodeSettings | None = None,
    manifest: str | None = None,
    **selection: Unpack[Selection],
) -> CaptureDiff:
    """Compare the run `b` with the run `a`: hops, sessions, overhead, findings.

    a, b: captures as on the command line, or folders of captures; each is read several times.
    same_clock: one clock stamped all captures of a run, whatever their HOST says.
    clocks: `HOST=±TIME`, as on the command line; without, clocks of several hosts are estimated.
    manifest: path of the file that the command line takes with `--points`.
    A capture that cannot be read does not raise: see `problems` of the result.
    Raises UsageError where a selector, a clock, a folder or the manifest cannot be understood.
    """
    from .analysis.clock import parse_assumed
    from .analysis.comparison import captures as capture_diff
    from .analysis.sessions.helps import Helps

    runs = [tuple(spec for text in texts for spec in captures_of(text)) for texts in (a, b)]
    said = _manifest(manifest)
    first, second = (on_one_clock(run) if same_clock else run for run in runs)
    return capture_diff.diff_captures(
        first,
        second,
        reading=capture_diff.Reading(
            settings=settings,
            selector=_selector(**selection),
            manifest=said.without_hosts() if said is not None and same_clock else said,
            helps=Helps(clocks=parse_assumed(clocks)),
        ),
    )


def convert(
    source: str,
    target: str | Path,
    *,
    to: str | None = None,
    vni: int | None = None,
    settings: DecodeSettings | None = None,
    on_problem: Callable[[Problem], None] | None = None,
    **selection: Unpack[Selection],
) -> ConvertResult:
    """Write the capture `source` to `target` without its tunnels, or with the other format.

    to: `vxlan` or `geneve`, None for no tunnels; vni: of all tunnels of that format.
    target: appears whole or not at all; `.pcap` and `.cap` give classic pcap, other names pcapng.
    Raises UsageError where the target is the source, cannot be made, or its format has no place
    for a packet, and CaptureError where nothing of the source could be read.
    """
    path, spec = Path(target), CaptureSpec.parse(source)
    note = Problems(on_problem)
    conversion = Conversion(
        spec,
        to=to,
        vni=vni,
        pcapng=is_pcapng_name(path),
        settings=settings,
        selector=_selector(**selection),
        on_problem=note,
    )
    with open_binary_file(path, [spec.path], label=str(path)) as stream:
        for piece in conversion.pieces():
            stream.write(piece)
        if not conversion.was_read:
            raise UnreadableCapture(
                spec.path, note.met()[-1].message.removeprefix(f"{spec.path}: ")
            )
    return conversion.result()


def flows(
    *captures: str,
    same_clock: bool = False,
    clocks: tuple[str, ...] = (),
    keylogs: tuple[str, ...] = (),
    ztunnel_logs: tuple[str, ...] = (),
    settings: DecodeSettings | None = None,
    manifest: str | None = None,
    **selection: Unpack[Selection],
) -> FlowsResult:
    """Reconstruct the sessions of an ambient mesh: which connections each one was.

    same_clock: one clock stamped all captures, whatever their HOST says.
    clocks: `HOST=±TIME`, as on the command line; without, clocks of several hosts are estimated.
    keylogs: files with TLS secrets that open HBONE; needs tshark.
    ztunnel_logs: files with ztunnel's access log.
    manifest: path of the file that the command line takes with `--points`.
    A capture that cannot be read does not raise: see `problems` of the result.
    Raises UsageError where a selector, a clock or the manifest cannot be understood, NotEnoughData
    as `latency` does, ToolMissing where keys are given and tshark is missing.
    """
    from .analysis.clock import parse_assumed
    from .analysis.sessions import flows as session_flows
    from .analysis.sessions.helps import Helps

    specs = [CaptureSpec.parse(capture) for capture in captures]
    said = _manifest(manifest)
    return session_flows.flows(
        on_one_clock(specs) if same_clock else specs,
        settings=settings,
        selector=_selector(**selection),
        helps=Helps(keylogs=keylogs, ztunnel_logs=ztunnel_logs, clocks=parse_assumed(clocks)),
        manifest=said.without_hosts() if said is not None and same_clock else said,
    )


def latency(
    *captures: str,
    same_clock: bool = False,
    clocks: tuple[str, ...] = (),
    window_ns: int = 10_000_000_000,
    slow_proxy_ns: int = 10_000_000,
    keylogs: tuple[str, ...] = (),
    ztunnel_logs: tuple[str, ...] = (),
    settings: DecodeSettings | None = None,
    manifest: str | None = None,
    **selection: Unpack[Selection],
) -> LatencyResult:
    """Measure the hops between the points of captures: time, loss, octets added.

    same_clock: one clock stamped all of them, whatever their HOST says.
    clocks: `HOST=±TIME`, as on the command line; without, clocks of several hosts are estimated.
    window_ns: how far apart two sightings of one packet may be.
    slow_proxy_ns: how long octets may stay in a proxy until that is a finding (A08).
    keylogs, ztunnel_logs: as `flows` takes them; what they tell makes sessions surer.
    manifest: path of the file that the command line takes with `--points`.
    A capture that cannot be read does not raise: see `problems` of the result.
    Raises UsageError where a selector or a clock cannot be understood, NotEnoughData where captures
    of several hosts are given whose clocks cannot be compared, ToolMissing as `flows` does.
    """
    from .analysis.clock import parse_assumed
    from .analysis.hops import latency as hop_latency
    from .analysis.hops.limits import Limits
    from .analysis.sessions.helps import Helps

    specs = [CaptureSpec.parse(capture) for capture in captures]
    said = _manifest(manifest)
    return hop_latency.latency(
        on_one_clock(specs) if same_clock else specs,
        limits=Limits(window_ns=window_ns, slow_proxy_ns=slow_proxy_ns),
        helps=Helps(keylogs=keylogs, ztunnel_logs=ztunnel_logs, clocks=parse_assumed(clocks)),
        settings=settings,
        manifest=said.without_hosts() if said is not None and same_clock else said,
        selector=_selector(**selection),
    )


def _manifest(path: str | None) -> Manifest | None:
    return None if path is None else Manifest.read(path)


def _pass_over(_problem: Problem) -> None:
    """Say nothing of a capture that cannot be read."""


def _selector(
    vnis: tuple[int, ...] = (),
    addresses: tuple[str, ...] = (),
    ports: tuple[int, ...] = (),
    points: tuple[str, ...] = (),
    since: str | None = None,
    until: str | None = None,
) -> Selector:
    return Selector(
        vnis=vnis,
        addresses=addresses,
        ports=ports,
        points=points,
        since=None if since is None else TimeBound.parse(since),
        until=None if until is None else TimeBound.parse(until),
    )
