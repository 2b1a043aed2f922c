# SPDX-License-Identifier: Apache-2.0
"""Network namespaces that exist for one run and are gone afterwards.

A `Lab` makes namespaces whose names nobody else has, runs programs in them and takes everything
away again: at the end, on an error, on a signal and when its time is over.
It remembers what it made and deletes nothing else. All interfaces are created inside these
namespaces, so the host's own namespace never sees one, and deleting a namespace deletes them.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import FrameType, TracebackType

COMMAND_LIMIT_S = 20.0
"""No single set-up command takes longer, or it hangs."""

_STOP_LIMIT_S = 5.0
_POLL_S = 0.02
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CAUGHT = (*_INTERRUPTS, signal.SIGALRM)


class LabError(Exception):
    """Something in the lab did not work; the message holds the command and what it said."""


class LabUnavailable(LabError):
    """This machine or this user cannot run the lab, and why."""


class LabInterrupted(KeyboardInterrupt):
    """A signal asked the run to end."""


def why_unavailable(tools: Iterable[str]) -> str | None:
    """Say why the lab cannot run here (no root, missing programs, no namespaces), or None."""
    missing = sorted({tool for tool in ("ip", "setpriv", "unshare", *tools) if not _found(tool)})
    if missing:
        return f"these programs are missing: {', '.join(missing)}"
    if os.geteuid() != 0:
        return "network namespaces need root: run it with sudo"
    probe = subprocess.run(
        ["unshare", "--net", "--mount", "true"],
        capture_output=True, text=True, timeout=COMMAND_LIMIT_S, check=False,
    )  # fmt: skip
    if probe.returncode:
        return f"no network namespace can be made here: {probe.stderr.strip()}"
    return None


def _found(tool: str) -> str | None:
    return shutil.which(tool)


def wait_until(condition: Callable[[], bool], what: str, limit_s: float = 10.0) -> None:
    """Return once `condition` holds; raise LabError naming `what` after `limit_s`."""
    end_s = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end_s:
            raise LabError(f"waited {limit_s:g} s in vain for {what}")
        time.sleep(_POLL_S)


class Lab:
    """The namespaces, processes and working folder of one run.

    limit_s: seconds after which the whole run is ended with LabError.
    Signals are caught only in the main thread, where Python delivers them.
    """

    def __init__(self, limit_s: float = 120.0) -> None:
        self.token = f"{os.getpid():x}-{secrets.token_hex(3)}"
        self._limit_s = limit_s
        self._namespaces: list[str] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._handlers: dict[signal.Signals, object] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def folder(self) -> Path:
        """Working folder of the run, deleted at its end."""
        if self._folder is None:
            raise LabError("the lab is not running")
        return Path(self._folder.name)

    def name(self, namespace: str) -> str:
        """Return the unique name that the host knows `namespace` by."""
        return f"genevecap-{self.token}-{namespace}"

    def __enter__(self) -> Self:
        try:
            self._catch_signals()
            self._folder = tempfile.TemporaryDirectory(prefix="genevecap-lab-")
        except BaseException:
            self._restore_signals()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._ignore_signals()
        finally:  # even if the first signal came within that very call
            try:
                self._remove_everything()
            finally:
                self._restore_signals()

    def add_namespace(self, namespace: str) -> None:
        """Make one namespace with its loopback up; refuse a name that exists already."""
        full_name = self.name(namespace)
        with _signals_held():  # made and remembered, or neither
            self.run(None, "ip", "netns", "add", full_name)
            self._namespaces.append(full_name)
        self.run(namespace, "ip", "link", "set", "lo", "up")

    def run(
        self,
        namespace: str | None,
        *command: str,
        limit_s: float = COMMAND_LIMIT_S,
        environment: dict[str, str] | None = None,
    ) -> str:
        """Run a command (in `namespace`, or on the host for None) and return what it printed.

        Raises LabError when it fails or takes longer than `limit_s`.
        """
        try:
            done = subprocess.run(
                self._inside(namespace, command),
                capture_output=True,
                text=True,
                timeout=limit_s,
                check=False,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(environment or {})},
            )
        except subprocess.TimeoutExpired as error:
            raise LabError(f"{_shown(namespace, command)}: took more than {limit_s:g} s") from error
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).replace(self.name(""), "")
            raise LabError(f"{_shown(namespace, command)}: exit {done.returncode}: {said}")
        return done.stdout

    def start(
        self,
        namespace: str,
        *command: str,
        log: Path,
        environment: dict[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a program in `namespace`, its output going to `log`; it ends with the lab."""
        with log.open("wb") as output:
            process = subprocess.Popen(
                # Should this process be killed outright, its programs go with it.
                ["setpriv", "--pdeathsig", "KILL", *self._inside(namespace, command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,  # the terminal's Ctrl-C is for us to pass on
            )
        self._processes.append(process)
        return process

    def stop(self, process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> int:
        """End one program that `start` started and return its exit status."""
        if process.poll() is None:
            process.send_signal(how)
            try:
                process.wait(_STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(_STOP_LIMIT_S)
        if process in self._processes:
            self._processes.remove(process)
        return process.returncode

    def _inside(self, namespace: str | None, command: Sequence[str]) -> list[str]:
        if namespace is None:
            return list(command)
        full_name = self.name(namespace)
        if full_name not in self._namespaces:
            raise LabError(f"namespace {namespace!r} is not one of this lab")
        return ["ip", "netns", "exec", full_name, *command]

    def _remove_everything(self) -> None:
        """Take away processes, namespaces and folder, each although another failed."""
        problems: list[str] = []
        for process in reversed(self._processes[:]):
            with _noting(problems):
                self.stop(process)
        for full_name in reversed(self._namespaces[:]):
            with _noting(problems):
                self._kill_leftovers(full_name)
            with _noting(problems):
                self.run(None, "ip", "netns", "delete", full_name)
                self._namespaces.remove(full_name)
        if self._folder is not None:
            with _noting(problems):
                self._folder.cleanup()
        if problems:
            raise LabError(f"the lab could not be removed: {'; '.join(problems)}")

    def _kill_leftovers(self, full_name: str) -> None:
        """End what programs of the lab started by themselves in a namespace of the lab."""
        for pid in self.run(None, "ip", "netns", "pids", full_name).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)

    def _catch_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _CAUGHT:
            self._handlers[number] = signal.signal(number, self._on_signal)
        signal.setitimer(signal.ITIMER_REAL, self._limit_s)

    def _ignore_signals(self) -> None:
        """Let cleaning up, which is short and bounded, not be cut off by a second Ctrl-C."""
        for number in self._handlers:
            signal.signal(number, signal.SIG_IGN)

    def _restore_signals(self) -> None:
        if signal.SIGALRM in self._handlers:
            signal.setitimer(signal.ITIMER_REAL, 0)
        while self._handlers:
            number, handler = self._handlers.popitem()
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._ignore_signals()
        if number == signal.SIGALRM:
            raise LabError(f"the lab's time is over: {self._limit_s:g} s")
        raise LabInterrupted(signal.Signals(number).name)


def _shown(namespace: str | None, command: Sequence[str]) -> str:
    return f"{namespace or 'host'}: {' '.join(command)}"


@contextlib.contextmanager
def _noting(problems: list[str]) -> Iterator[None]:
    try:
        yield
    except (LabError, OSError, subprocess.SubprocessError) as error:
        problems.append(str(error))


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _CAUGHT)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
