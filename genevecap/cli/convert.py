# SPDX-License-Identifier: Apache-2.0
"""`genevecap convert`: a capture without its tunnels, or with the other format."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import ExitCode, UsageError
from .messages import Outcome
from .options import VNI, CaptureType, decode_options, selector_options_but_vni
from .output import NothingToSay
from .progress import show_progress

if TYPE_CHECKING:
    from ..analysis.select import Selector
    from ..capture.spec import CaptureSpec
    from ..decode.settings import DecodeSettings

_COMPRESSED_SUFFIXES = (".gz", ".zst")


@click.command(
    epilog="Example: genevecap convert samples/geneve-ovs.pcapng out.pcapng --to vxlan",
    short_help="Write a capture without its tunnels, or with the other format.",
)
@click.argument("source", metavar="IN", type=CaptureType())
@click.argument("target", metavar="OUT", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--decapsulate",
    is_flag=True,
    help="Write what the innermost tunnel of each packet holds, as an Ethernet frame.",
)
@click.option(
    "--to",
    type=click.Choice(("vxlan", "geneve")),
    help="Write every VXLAN and Geneve header as one of this format. Options and flags that it has "
    "no place for are left out.",
)
@click.option(
    "--vni", "new_vni", type=VNI, metavar="N", help="With --to: the VNI of all its tunnels."
)
@selector_options_but_vni
@decode_options
def convert(
    source: CaptureSpec,
    target: Path,
    decapsulate: bool,
    to: str | None,
    new_vni: int | None,
    selector: Selector,
    settings: DecodeSettings,
) -> ExitCode:
    """Write the capture IN to OUT without its tunnels, or with the other tunnel format.

    Times, comments, interface names and TLS keys are kept, lengths and checksums made right.  A
    packet that has no tunnel, or cannot be converted rightly (a fragment of a tunnel packet, for
    one), is written as it was, and counted.  OUT is pcapng, where each packet gets its original
    frame number as a comment; a name that ends in .pcap or .cap gives nanosecond pcap, which has
    no comments.  OUT appears whole or not at all, and is never IN.
    """
    from ..analysis.convert import Conversion, is_pcapng_name
    from ..capture.whole_file import open_binary_file
    from ..reports.conversion import conversion_lines

    if decapsulate == (to is not None):
        raise UsageError("give one of --decapsulate and --to")
    if new_vni is not None and to is None:
        raise UsageError("--vni: it is the VNI of the new format, so give --to with it")
    if target.name == "-":
        raise UsageError("OUT is a file: give a name (/dev/stdout writes into a pipe)")
    if target.suffix in _COMPRESSED_SUFFIXES:
        raise UsageError(f"{target}: OUT is not compressed; leave {target.suffix} out")
    outcome = Outcome()
    with (
        suppress(NothingToSay),
        open_binary_file(target, [source.path], label=str(target)) as stream,
    ):
        with show_progress() as progress:
            conversion = Conversion(
                source,
                to=to,
                vni=new_vni,
                pcapng=is_pcapng_name(target),
                settings=settings,
                selector=selector,
                progress=progress,
                on_problem=outcome.problem,
            )
            for piece in conversion.pieces():
                stream.write(piece)
        if not conversion.was_read:
            raise NothingToSay
    if conversion.was_read:
        for line in conversion_lines(conversion.result(), to):
            click.echo(line, err=True)
    return outcome.code
