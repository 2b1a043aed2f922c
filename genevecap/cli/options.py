# SPDX-License-Identifier: Apache-2.0
"""Options that commands share: one decorator per group, which hands the command one value.

A group's options are gathered into a frozen dataclass, so that a command function has a parameter
for each group and not one for each option.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ..analysis.sessions.helps import Helps

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from ..analysis.select import Selector, TimeBound
    from ..capture.manifest import Manifest
    from ..capture.spec import CaptureSpec
    from ..decode.settings import DecodeSettings

    # Generic to the type checker only: releases before 8.5 cannot be subscripted.
    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]

FORMATS = ("table", "json", "ndjson", "csv")


class CaptureType(ParamType):
    """`[NAME[@HOST]=]PATH`, or `-` for standard input."""

    name = "capture"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> CaptureSpec:
        """Return the specification of a capture."""
        from ..capture.spec import CaptureSpec

        return value if isinstance(value, CaptureSpec) else CaptureSpec.parse(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Let the shell complete file names."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type="file")]


class TimeType(ParamType):
    """A moment: RFC 3339, epoch seconds, or `+SECONDS` from the first packet."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> TimeBound:
        """Return the moment."""
        from ..analysis.select import TimeBound

        return value if isinstance(value, TimeBound) else TimeBound.parse(value)


PORT = click.IntRange(1, 65535)
VNI = click.IntRange(0, 2**24 - 1)


def gather(name: str, build: Callable[..., Any], *options: Decorator) -> Decorator:
    """Return a decorator that adds options and passes them on as one value.

    name: the parameter of the command that gets it.
    build: makes the value; its keyword arguments are the parameters of the options.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            values = {key: kwargs.pop(key) for key in parameters}
            return command(*args, **{name: build(**values)}, **kwargs)

        known = {parameter.name for parameter in getattr(wrapper, "__click_params__", ())}
        decorated: Command = wrapper
        for option in reversed(options):
            decorated = option(decorated)
        added = getattr(decorated, "__click_params__", ())
        parameters = {parameter.name for parameter in added} - known
        return decorated

    return decorate


# --- captures and decoding -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What is to be read."""

    specs: tuple[CaptureSpec, ...]
    manifest: Manifest | None = None
    """What `--points` says of capture points."""

    @property
    def growing(self) -> bool:
        """Whether an input may still be written while it is read (standard input, a pipe)."""
        from pathlib import Path

        return any(spec.path == "-" or not Path(spec.path).is_file() for spec in self.specs)


def inputs_of(
    captures: tuple[CaptureSpec, ...], same_clock: bool, points_file: str | None = None
) -> Inputs:
    """Return inputs, with the clock and the manifest that were said."""
    said = None
    if points_file is not None:
        from ..capture.manifest import Manifest

        said = Manifest.read(points_file)
    if not same_clock:
        return Inputs(specs=captures, manifest=said)
    from ..capture.spec import on_one_clock

    manifest = None if said is None else said.without_hosts()
    return Inputs(specs=on_one_clock(captures), manifest=manifest)


_capture_argument = click.argument(
    "captures", metavar="CAPTURE...", nargs=-1, required=True, type=CaptureType()
)
_optional_capture_argument = click.argument(
    "captures", metavar="[CAPTURE...]", nargs=-1, type=CaptureType()
)
same_clock_option = click.option(
    "--same-clock",
    is_flag=True,
    help="All captures were stamped by one clock: use it for captures of one host that were given "
    "different names.",
)

points_option = click.option(
    "--points",
    "points_file",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="What capture points are, where that cannot be recognised: a manifest (TOML) of names, "
    "hosts, roles and addresses. 'genevecap points' writes one.",
)

input_options = gather("inputs", inputs_of, _capture_argument, same_clock_option, points_option)

plain_input_options = gather("inputs", inputs_of, _capture_argument, same_clock_option)
"""For commands to which it does not matter what capture points are."""

optional_input_options = gather("inputs", inputs_of, _optional_capture_argument, same_clock_option)
"""For commands that have something to say without a capture too."""


def _settings(**given: Any) -> DecodeSettings:
    from ..decode.settings import DecodeSettings

    return DecodeSettings(**given)


decode_options = gather(
    "settings",
    _settings,
    click.option(
        "--geneve-port",
        "geneve_ports",
        type=PORT,
        multiple=True,
        metavar="PORT",
        help="Read this UDP destination port as Geneve too, besides 6081 (and 6082 to 6089 where "
        "the bytes fit). Repeatable.",
    ),
    click.option(
        "--vxlan-port",
        "vxlan_ports",
        type=PORT,
        multiple=True,
        metavar="PORT",
        help="Read this UDP destination port as VXLAN too, besides 4789 and 8472. Repeatable.",
    ),
    click.option(
        "--vxlan-gpe-port",
        "vxlan_gpe_ports",
        type=PORT,
        multiple=True,
        metavar="PORT",
        help="Read this UDP destination port as VXLAN-GPE too, besides 4790: its flags mean "
        "something else than VXLAN's, so GPE is never guessed. Repeatable.",
    ),
    click.option(
        "--wireguard-port",
        "wireguard_ports",
        type=PORT,
        multiple=True,
        metavar="PORT",
        help="Look for WireGuard on this UDP port too, besides 51820, 51821 and 51871; it is taken "
        "for it where the bytes fit. Repeatable.",
    ),
    click.option(
        "--esp-null",
        "esp_icv_bytes",
        type=click.IntRange(0, 64),
        metavar="ICV_BYTES",
        help="ESP does not encrypt (NULL, RFC 2410): read what it carries. A packet tells neither "
        "that nor how long its integrity check value is: 12 for HMAC-SHA1-96, 16 for "
        "HMAC-SHA-256-128 and AES-GMAC.",
    ),
)


# --- selectors -------------------------------------------------------------------------------


def _selector(
    *,
    vni: tuple[int, ...] = (),
    addr: tuple[str, ...],
    port: tuple[int, ...],
    point: tuple[str, ...],
    since: TimeBound | None,
    until: TimeBound | None,
) -> Selector:
    from ..addresses import parse_address
    from ..analysis.select import Selector
    from ..errors import UsageError

    for text in addr:
        try:
            parse_address(text)
        except ValueError as error:
            raise UsageError(f"--addr: {error}") from None
    return Selector(vnis=vni, addresses=addr, ports=port, points=point, since=since, until=until)


_selector_options: tuple[Decorator, ...] = (
    click.option(
        "--vni",
        type=VNI,
        multiple=True,
        metavar="N",
        help="Only packets with this VNI in any of their tunnels. Repeatable: one of several is "
        "enough, while different selectors must all match.",
    ),
    click.option(
        "--addr",
        multiple=True,
        metavar="ADDRESS",
        help="Only packets with this IP address, inner or outer, as source or destination. "
        "Repeatable.",
    ),
    click.option(
        "--port",
        type=click.IntRange(0, 65535),
        multiple=True,
        metavar="N",
        help="Only packets with this port, inner or outer, as source or destination. Repeatable.",
    ),
    click.option(
        "--point",
        multiple=True,
        metavar="GLOB",
        help="Only packets of capture points whose full name (NAME/INTERFACE) matches, as "
        "'*/eth0' does. Repeatable.",
    ),
    click.option(
        "--since",
        type=TimeType(),
        metavar="TIME",
        help="Only packets from this time on: 2026-01-31T12:00:00Z, epoch seconds, or +SECONDS "
        "from the first packet.",
    ),
    click.option(
        "--until", type=TimeType(), metavar="TIME", help="Only packets up to this time; as --since."
    ),
)

selector_options = gather("selector", _selector, *_selector_options)

selector_options_but_vni = gather("selector", _selector, *_selector_options[1:])
"""For commands to which --vni says something else."""


# --- clocks --------------------------------------------------------------------------------


def _assumed_clocks(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, int]:
    from ..analysis.clock import parse_assumed

    return parse_assumed(values)


clock_option = click.option(
    "--clock",
    "clocks",
    multiple=True,
    metavar="HOST=±TIME",
    callback=_assumed_clocks,
    help="The clock of HOST is right to within TIME (node-a=±2ms; ns, us, ms, s). Captures of "
    "several hosts are read twice: first to estimate how their clocks differ, from the packets "
    "that they share. Repeatable.",
)


# --- what helps besides captures ---------------------------------------------------------------


help_options = gather(
    "helps",
    Helps,
    clock_option,
    click.option(
        "--keylog",
        "keylogs",
        type=click.Path(dir_okay=False),
        multiple=True,
        metavar="FILE",
        help="TLS secrets, as SSLKEYLOGFILE has them, to open HBONE with: needs tshark. Keys that "
        "a pcapng capture carries are used without this. Repeatable.",
    ),
    click.option(
        "--ztunnel-log",
        "ztunnel_logs",
        type=click.Path(dir_okay=False),
        multiple=True,
        metavar="FILE",
        help="ztunnel's access log, text or JSON, as evidence: kubectl logs of the node's ztunnel "
        "pod. Other lines in it are passed over. Repeatable.",
    ),
)


# --- output ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputChoice:
    """In which form results are written, and where."""

    format: str
    path: str | None
    """A file; None is standard output."""


def _output(*, form: str, output: str | None) -> OutputChoice:
    return OutputChoice(format=form, path=None if output == "-" else output)


output_options = gather(
    "output",
    _output,
    click.option(
        "--format",
        "form",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="table is for people and may change; json, ndjson (one row a line) and csv are for "
        "programs and keep their keys. Of a summary, ndjson and csv give one list.",
    ),
    click.option(
        "-o",
        "--output",
        metavar="FILE",
        type=click.Path(dir_okay=False),
        help="Write to FILE, whole or not at all, instead of standard output.",
    ),
)
