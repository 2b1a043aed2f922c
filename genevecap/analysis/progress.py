# SPDX-License-Identifier: Apache-2.0
"""How a long analysis says how far it is; what is done with that is the caller's business."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told about once per MiB read; must be cheap and must not raise."""

    def update(self, bytes_read: int, bytes_total: int | None, packets: int) -> None:
        """Say what was done so far, over all inputs.

        bytes_read: octets of the inputs as stored (compressed ones count compressed).
        bytes_total: the same of all inputs, None where one of them has no known size (a pipe).
        packets: frames handled.
        """
