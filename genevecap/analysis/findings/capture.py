# SPDX-License-Identifier: Apache-2.0
"""Capture quality."""

from __future__ import annotations

from . import Rule


class TimeOutOfRange(Rule):
    """A record that claims a time, but one that no report can show."""

    code = "C01"
    severity = "warning"
    message = "packets whose time does not fit 64-bit nanoseconds"
    explanation = (
        "Their time is unknown here; it would be before 1677 or after 2262. "
        "Simple packet blocks, which have no time at all, are not counted."
    )
    remedy = "Check the time stamp resolution that the file's interface blocks claim."
    source = "draft-ietf-opsawg-pcapng section 4.2"
    display_filter = "frame.time_epoch > 9223372036"
