# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.lab.mesh --mode MODE [--underlay …] [--variant …] OUTDIR`: record one run.

Needs root, for network namespaces. Exit status: 0 done, 1 something went wrong, 2 this machine,
user or combination of options cannot do it, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.mesh import run
from tests.lab.mesh.scenario import MODES, STANDARD, UNDERLAYS, VARIANTS, scenario
from tests.lab.namespaces import LabError, LabInterrupted, LabUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence


def listing() -> str:
    """Return the variants, one a line: name, modes, underlays, what it is."""
    width = max(map(len, VARIANTS))
    return "".join(
        f"{name:{width}}  {variant.what}"
        f"{_only(variant.modes, MODES)}{_only(variant.underlays, UNDERLAYS)}\n"
        for name, variant in VARIANTS.items()
    )


def _only(chosen: tuple[str, ...], known: tuple[str, ...]) -> str:
    return "" if chosen == known else f" ({', '.join(chosen)} only)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.mesh", description=__doc__)
    parser.add_argument("--mode", choices=MODES, default=MODES[0])
    parser.add_argument("--underlay", choices=UNDERLAYS, default=UNDERLAYS[0])
    parser.add_argument("--variant", default=STANDARD, help="a name, or several: loss+clocks")
    parser.add_argument("--list", action="store_true", help="list the variants and end")
    parser.add_argument("outdir", nargs="?", type=Path, help="an empty folder, or one to be made")
    options = parser.parse_args(arguments)
    if options.list:
        sys.stdout.write(listing())
        return 0
    if options.outdir is None:
        parser.error("OUTDIR is missing")
    try:
        chosen = scenario(options.mode, options.underlay, options.variant)
        found = run.run(chosen, options.outdir)
    except (LabUnavailable, ValueError) as error:
        sys.stderr.write(f"cannot run: {error}\n")
        return 2
    except LabInterrupted as signal_name:
        sys.stderr.write(f"interrupted ({signal_name}); everything was removed\n")
        return 130
    except LabError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"{options.outdir}: {found['counts']}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
