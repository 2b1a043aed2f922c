# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genevecap.analysis.clock import parse_assumed
from genevecap.errors import UsageError


@pytest.mark.parametrize(
    ("text", "host", "bound_ns"),
    [
        ("node-a=±2ms", "node-a", 2_000_000),
        ("node-a=2ms", "node-a", 2_000_000),
        ("node-a=+-2ms", "node-a", 2_000_000),
        ("node-a=+/-2ms", "node-a", 2_000_000),
        ("node-a=±0ns", "node-a", 0),
        ("node-a=±1.5us", "node-a", 1500),
        ("node-a=±1.5µs", "node-a", 1500),
        ("node-a=±0.1ns", "node-a", 1),
        ("node-a=±1000000000s", "node-a", 10**18),
        ("node-a=±123456789012345678ns", "node-a", 123_456_789_012_345_678),
        ("a=b=±3s", "a=b", 3_000_000_000),
        ("node ü=±1s", "node ü", 1_000_000_000),
    ],
)
def test_bound_is_read(text, host, bound_ns):
    assert parse_assumed([text]) == {host: bound_ns}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "node-a",
        "node-a=",
        "=±2ms",
        "node-a=±2",
        "node-a=±ms",
        "node-a=-2ms",
        "node-a=±-2ms",
        "node-a=±2m",
        "node-a=±2 ms",
        "node-a=±1e3ms",
        "node-a=±nanms",
        "node-a=±٣ms",
        "node-a=±2ms\nx",
        "node-a=±1000000001s",
        "node-a=±" + "9" * 5000 + "s",
    ],
)
def test_what_is_no_bound_is_refused_by_name(text):
    with pytest.raises(UsageError) as caught:
        parse_assumed([text])
    assert repr(text) in str(caught.value)


def test_host_may_be_named_once():
    assert parse_assumed(["a=1s", "b=2s"]) == {"a": 10**9, "b": 2 * 10**9}
    with pytest.raises(UsageError, match="given before"):
        parse_assumed(["a=1s", "a=2s"])


@given(st.text())
def test_any_text_is_a_bound_or_a_usage_error(text):
    try:
        found = parse_assumed([text])
    except UsageError:
        return
    assert len(found) == 1
    assert all(0 <= bound_ns <= 10**18 for bound_ns in found.values())
