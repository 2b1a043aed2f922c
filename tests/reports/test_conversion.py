# SPDX-License-Identifier: Apache-2.0
"""What `convert` says when it is done."""

from __future__ import annotations

from genevecap.analysis.convert import ConvertResult
from genevecap.reports.conversion import conversion_lines


def test_what_was_done_and_what_was_not():
    result = ConvertResult(
        path="a\x1b.pcap", packets=1203, converted=1200, kept=(("fragment", 2), ("too large", 1))
    )
    assert list(conversion_lines(result, None)) == [
        "a\\x1b.pcap: 1,200 of 1,203 packets decapsulated",
        "  2 as they were: fragment",
        "  1 as they were: too large",
    ]
    assert next(conversion_lines(result, "geneve")).endswith("converted to geneve")
