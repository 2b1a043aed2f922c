# SPDX-License-Identifier: Apache-2.0
"""analysis/hop_order and the reports of `latency`: ways as a person would draw them."""

from __future__ import annotations

import json

from genevecap.analysis.clock import ClockSegment, HostClock
from genevecap.analysis.hops.order import chains, in_travel_order
from genevecap.analysis.hops.results import Hop, LatencyResult, Matching, RoundTrip
from genevecap.reports import latency as report
from genevecap.reports.layout import Style


def hop(origin, to, packets=10, **changes):
    values = {
        "origin": origin, "to": to, "leg": "hbone", "direction": "forward", "kind": "pass",
        "phase": None, "measured": True, "packets": packets, "lost": 0, "min_ns": 1, "p50_ns": 2000,
        "p90_ns": 3, "p99_ns": 4, "max_ns": 5, "uncertainty_ns": 1, "added_p50_bytes": 0,
        "added_max_bytes": 0,
    }  # fmt: skip
    return Hop(**(values | changes))


def result(*hops, **changes):
    ordered = in_travel_order(hops)
    matching = Matching(
        segments=9, matched=6, unmatched=2, ambiguous=1, late=3, window_ns=10**10,
        shortest_window_ns=10**9,
    )  # fmt: skip
    segments = tuple(
        ClockSegment(from_ns=n, to_ns=n + 9, at_ns=n, offset_ns=n, drift_ppm=0.5, uncertainty_ns=7)
        for n in range(3)
    )
    clocks = tuple(
        HostClock(host=host, reference="a", pairs=3, dropped=0, segments=some)
        for host, some in (("b\x1b", segments), ("c", ()))
    )
    return LatencyResult(
        captures=(),
        clocks=clocks,
        round_trips=(
            RoundTrip(
                point="p",
                leg="hbone",
                direction="forward",
                kind="data",
                packets=3,
                min_ns=1,
                p50_ns=2,
                p90_ns=3,
                p99_ns=4,
                max_ns=5,
                uncertainty_ns=1,
            ),
        ),
        hops=ordered,
        chains=chains(ordered),
        matching=matching,
        **changes,
    )


def test_hops_stand_in_the_order_of_travel():
    found = in_travel_order(
        [
            hop("c", "d"),
            hop("a", "b"),
            hop("x", "b", 3),
            hop("b", "c"),
            hop("d", "c", direction="reverse"),
            hop("q", "r", leg="inbound"),
            hop("q", "r", leg="outbound"),
        ]
    )
    assert [(h.leg, h.direction, h.origin, h.to) for h in found] == [
        ("outbound", "forward", "q", "r"),
        ("hbone", "forward", "a", "b"),
        ("hbone", "forward", "x", "b"),
        ("hbone", "forward", "b", "c"),
        ("hbone", "forward", "c", "d"),
        ("inbound", "forward", "q", "r"),
        ("hbone", "reverse", "d", "c"),
    ]


def test_a_circle_does_not_hang():
    found = in_travel_order([hop("a", "b"), hop("b", "c"), hop("c", "a", 2), hop("a", "a", 1)])
    assert len(found) == 4
    assert sorted(i for chain in chains(found) for i in chain) == [0, 1, 2, 3]


def test_chains_show_every_hop_once():
    found = in_travel_order([hop("a", "b", 9), hop("x", "b", 3), hop("b", "c", 12)])
    assert [[(found[i].origin, found[i].to) for i in chain] for chain in chains(found)] == [
        [("a", "b"), ("b", "c")],
        [("x", "b")],
    ]


def test_text_from_a_capture_is_made_harmless():
    text = "\n".join(report.lines(result(hop("a\x1b[2J", "b")), Style(width=120)))
    assert "\x1b" not in text
    assert "a\\x1b[2J" in text


def test_no_line_is_wider_than_the_terminal():
    found = result(*(hop(f"node-{n}/eth0", f"node-{n + 1}/eth0", 100 - n) for n in range(30)))
    for width in (40, 80, 200):
        assert all(len(line) <= width for line in report.lines(found, Style(width=width)))


def test_what_cannot_be_known_is_said():
    unknown = hop(
        "a", "b", measured=False, lost=None, p50_ns=None, kind="decapsulate", added_p50_bytes=-50
    )
    text = "\n".join(report.lines(result(unknown, interrupted=True), Style(width=150)))
    for words in (
        "? −50 B",
        "interrupted",
        "out of order",
        "was cut to 1.00 s",
        "1 ambiguous",
        "not known",
    ):
        assert words in text
    row = report.rows(result(unknown), "hops")[0]
    assert (row["lost"], row["p50_ns"], row["measured"]) == (None, None, False)


def test_keys_of_the_contract():
    document = report.document(result(hop("a", "b")))
    assert document["schema"] == "genevecap/latency/1"
    assert set(document["hops"][0]) == {
        "from", "to", "leg", "direction", "kind", "phase", "measured", "packets", "lost", "min_ns",
        "p50_ns", "p90_ns", "p99_ns", "max_ns", "uncertainty_ns", "added_bytes",
    }  # fmt: skip
    assert document["hops"][0]["added_bytes"] == {"p50": 0, "max": 0}
    json.dumps(document)


def test_csv_has_the_columns_that_it_says():
    for name in report.TABLES:
        for row in report.csv_rows(result(hop("a", "b")), name):
            assert tuple(sorted(row)) == tuple(sorted(report.CSV_COLUMNS[name]))
