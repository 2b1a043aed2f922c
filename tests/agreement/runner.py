# SPDX-License-Identifier: Apache-2.0
"""Run `genevecap inspect --packets --format ndjson` on many files in one process.

A process of its own, so that `GENEVECAP_DISABLE_KERNELS` is set before genevecap is imported, and
so that a crash of a compiled kernel is a finding and not the end of the test.

Paths come in on stdin, one a line; one JSON object a file goes out: path, exit_code, stdout,
stderr, seconds, kernels (compiled modules that were loaded) and fault (what should never happen).
Run as a script: it must import nothing of the tests.
"""

from __future__ import annotations

import faulthandler
import json
import os
import runpy
import signal
import sys
import tempfile
import time
import traceback
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ARGUMENTS = ("inspect", "--packets", "--format", "ndjson")


class OvertimeError(BaseException):
    """A file took longer than it may; no `except Exception` of the tool can swallow it."""


def _overtime(_signal: int, _frame: object) -> None:
    raise OvertimeError


@contextmanager
def _captured(number: int, name: str) -> Iterator[IO[bytes]]:
    """Send everything that is written to a file descriptor into a temporary file."""
    saved = os.dup(number)
    with tempfile.TemporaryFile() as target:
        os.dup2(target.fileno(), number)
        stream = os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
        before = getattr(sys, name)
        setattr(sys, name, stream)
        try:
            yield target
        finally:
            setattr(sys, name, before)
            os.dup2(saved, number)
            os.close(saved)


def _content(stream: Any, target: IO[bytes]) -> str:
    if not stream.closed:
        stream.flush()
    target.seek(0)
    return target.read().decode("utf-8", "backslashreplace")


def _call(path: str) -> tuple[int, str | None]:
    """Run the command in this process; return its exit code and what went wrong beyond it."""
    sys.argv = ["genevecap", *ARGUMENTS, path]
    try:
        runpy.run_module("genevecap", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            return 1, f"exit with a text: {end.code}"
        return int(end.code or 0), None
    except OvertimeError:
        return -1, "overtime"
    except BaseException:  # noqa: BLE001 - whatever comes out of the tool is what we are after
        return 1, traceback.format_exc()
    return 0, None


def inspect(path: str, limit_seconds: float) -> dict[str, Any]:
    """Return everything that one run of the command on one file did."""
    with _captured(1, "stdout") as out, _captured(2, "stderr") as err:
        signal.signal(signal.SIGALRM, _overtime)
        signal.setitimer(signal.ITIMER_REAL, limit_seconds)
        began = time.perf_counter()
        try:
            exit_code, fault = _call(path)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        seconds = time.perf_counter() - began
        stdout, stderr = _content(sys.stdout, out), _content(sys.stderr, err)
    kernels = sorted(
        name
        for name, module in list(sys.modules.items())
        if name.startswith("genevecap.")
        and not str(getattr(module, "__file__", None) or ".py").endswith((".py", ".pyc"))
    )
    return {
        "path": path,
        "exit_code": exit_code,
        "stdout": stdout,
        "stderr": stderr,
        "seconds": seconds,
        "fault": fault,
        "kernels": kernels,
    }


def main() -> None:
    """Read paths until the end of stdin; argument: the limit in seconds for each."""
    limit_seconds = float(sys.argv[1])
    results = os.fdopen(os.dup(1), "w", encoding="utf-8")
    log = os.fdopen(os.dup(2), "w")
    for line in sys.stdin.read().splitlines():
        # A kernel that hangs never lets the alarm's handler run: then this ends the process.
        faulthandler.dump_traceback_later(limit_seconds + 5, exit=True, file=log)
        result = inspect(line, limit_seconds)
        faulthandler.cancel_dump_traceback_later()
        results.write(json.dumps(result) + "\n")
        results.flush()


if __name__ == "__main__":
    main()
