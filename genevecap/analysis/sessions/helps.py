# SPDX-License-Identifier: Apache-2.0
"""What helps besides captures: TLS secrets, ztunnel's access log, and what is known of clocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...errors import GenevecapError
from ..results import Problem

if TYPE_CHECKING:
    from ...capture.spec import CaptureSpec
    from ...decode.settings import DecodeSettings
    from ..hbone.results import HboneReading, OnData
    from ..inputs import Inputs
    from .ztunnel_log import LoggedConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class Helps:
    """Files that help, and what is known of clocks."""

    keylogs: tuple[str, ...] = ()
    """Files with TLS secrets, in the form of SSLKEYLOGFILE."""
    ztunnel_logs: tuple[str, ...] = ()
    """Files with ztunnel's access log."""
    clocks: Mapping[str, int] = field(default_factory=dict)
    """HOST -> the ns to which its clock is right; see `clock.parse_assumed`."""

    def open_hbone(
        self,
        specs: Sequence[CaptureSpec],
        settings: DecodeSettings,
        inputs: Inputs,
        note: Callable[[Problem], None],
        on_data: OnData | None = None,
    ) -> HboneReading | None:
        """Open HBONE where keys are given, or are in the captures that were read (`inputs`).

        on_data: told of the content of each DATA frame.
        Raises ToolMissing where keys are given and tshark is missing, and what
        `hbone.open_hbone` raises; without given keys that is a warning.
        """
        in_captures = any(s.capture is not None and s.capture.key_logs for s in inputs.states)
        if not self.keylogs and not in_captures:
            return None
        from ..hbone import open_hbone

        def warn(message: str) -> None:
            note(Problem(path=specs[0].path, severity="warning", message=message))

        try:
            reading = open_hbone(
                specs,
                settings=settings,
                keylogs=self.keylogs,
                on_data=on_data,
                open_frames=inputs.open_frames,
            )
        except GenevecapError as error:
            if self.keylogs:
                raise
            warn(f"keys not used: {error}")
            return None
        for refused in reading.refused:
            warn(f"HBONE {refused.client} > {refused.server} stays closed: {refused.reason}")
        return reading

    def logged(self, note: Callable[[Problem], None]) -> Iterator[LoggedConnection]:
        """Yield the connections of the access logs; a file without any is told."""
        if self.ztunnel_logs:
            from .ztunnel_log import read_log
        for path in self.ztunnel_logs:
            count = 0
            for line in read_log(path):
                count += 1
                yield line
            if not count:
                message = f"{path}: no line of ztunnel's access log in it"
                note(Problem(path=path, severity="warning", message=message))
