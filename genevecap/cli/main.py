# SPDX-License-Identifier: Apache-2.0
"""The command `genevecap`: its subcommands, and how every run ends.

Start-up time counts: a command is imported when it is called (or when its help is asked for), and
nothing here imports more than click and the error tree.
"""

from __future__ import annotations

import errno
import gc
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

import click

from ..errors import ExitCode, GenevecapError

COMMANDS = {
    "inspect": "Show what a capture holds: tunnels, options, flows, findings.",
    "points": "Show what each capture point is, or write a manifest of them.",
    "flows": "Reconstruct ambient sessions: the client's, HBONE's and the server's connection.",
    "latency": "Measure the hops between capture points: time, loss, octets added.",
    "overhead": "Show what encapsulation and interception cost, and the MTU they leave.",
    "diff": "Compare two runs, or what VXLAN would cost instead of Geneve.",
    "convert": "Write a capture without its tunnels, or with the other format.",
    "findings": "List the rules that captures are held to, or explain one.",
    "verify": "Compare our decoding of a capture with tshark's.",
}
"""Every command and its short help; `genevecap.cli.NAME` has the click command `NAME`."""

_COMPLETE_VARIABLE = "_GENEVECAP_COMPLETE"


class LazyGroup(click.Group):
    """A group that imports a command when it is needed, and turns errors into exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, importing it; None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"genevecap.cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line; an empty one gets the help, and counts as wrong usage."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(ExitCode.USAGE)
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run, and end the process with the exit code of the contract.

        Commands return an `ExitCode` (or None for done).  With `standalone_mode=False`, as click's
        own commands, the command's value is returned and errors are raised.
        """
        prog_name = prog_name or "genevecap"
        complete_var = complete_var or _COMPLETE_VARIABLE
        if not standalone_mode or complete_var in os.environ:
            return super().main(args, prog_name, complete_var, standalone_mode, **extra)
        _never_fail_to_encode()
        code = _finish(self._run(args, prog_name, extra))
        gc.freeze()  # what is left ends with the process: no need to look through all of it twice
        sys.exit(code)

    def _run(self, args: Sequence[str] | None, prog_name: str, extra: dict[str, Any]) -> int:
        """Call the command and return the exit code, having printed the error if there was one."""
        try:
            words = list(sys.argv[1:] if args is None else args)
            with self.make_context(prog_name, words, **extra) as context:
                return int(self.invoke(context) or ExitCode.DONE)
        except click.exceptions.Exit as exit_:
            return exit_.exit_code
        except click.ClickException as error:
            return _say(error)
        except GenevecapError as error:
            return _say(error)
        except (KeyboardInterrupt, EOFError, click.Abort):
            return ExitCode.INTERRUPTED
        except BrokenPipeError:
            return _abandon_output()
        except OSError as error:
            return _say(error)
        except MemoryError:
            return _say(GenevecapError("out of memory"))


@click.group(
    cls=LazyGroup,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=lambda ctx, _param, value: _print_version(ctx) if value else None,
    help="Print the version, and whether the compiled decoder is in use or the readable one.",
)
def main() -> None:
    """Decode VXLAN and Geneve captures, and explain what Istio ambient did to the traffic.

    A CAPTURE is given as [NAME[@HOST]=]PATH, or - for standard input: pcap or pcapng, also
    compressed with gzip or zstd.  NAME is what its capture points are called (by default the file
    name), HOST whose clock stamped it.

    Exit codes: 0 done; 1 --fail-on was met, or verify found a difference; 2 wrong usage; 3 an
    input could not be read or was damaged; 4 not enough data; 130 interrupted.
    """


def _print_version(ctx: click.Context) -> None:
    from .. import __version__
    from ..decode import decoder_name
    from ..kernels import not_built

    decoder = f"{decoder_name()} decoder"
    if decoder_name() == "compiled" and (missing := not_built()):
        decoder += f"; not compiled: {', '.join(missing)}"
    click.echo(f"genevecap {__version__} ({decoder})")
    ctx.exit()


def _never_fail_to_encode() -> None:
    """Let a character that the terminal's encoding lacks appear as an escape, not as a crash."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with suppress(ValueError, OSError):
                stream.reconfigure(errors="backslashreplace")


def _say(error: Exception) -> int:
    """Print an error as one line on stderr and return its exit code."""
    from .messages import error_line

    try:
        click.echo(error_line(error), err=True)
    except BrokenPipeError:
        return _abandon_output()
    if isinstance(error, GenevecapError | click.ClickException):
        return error.exit_code
    return ExitCode.UNREADABLE


def _finish(code: int) -> int:
    """Flush what was printed, so that a broken pipe shows here and not at interpreter shutdown."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except BrokenPipeError:
        return _abandon_output()
    except OSError as error:
        _abandon_output()
        if error.errno == errno.EPIPE:
            return ExitCode.DONE
        return _say(error)
    except ValueError:  # closed already
        pass
    return code


def _abandon_output() -> int:
    """Let nothing more reach the closed pipe, not even what is buffered, and end well."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            with suppress(OSError, ValueError, AttributeError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, stream.fileno())
                os.close(null)
    return ExitCode.DONE
