# SPDX-License-Identifier: Apache-2.0
"""`points` as rows, table and manifest."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from fnmatch import fnmatchcase

from hypothesis import given
from hypothesis import strategies as st

from genevecap.analysis.points.listing import PointsResult
from genevecap.analysis.points.roles import PointRole
from genevecap.capture.manifest import Manifest
from genevecap.capture.roles import Role
from genevecap.reports.layout import Style
from genevecap.reports.points import (
    CSV_COLUMNS,
    as_pattern,
    flat_rows,
    manifest_lines,
    point_rows,
    points_document,
    points_lines,
    toml_string,
)

POINT = PointRole(
    index=0,
    name="cli/eth0",
    own_name="cli/eth0",
    capture_name="cli",
    host="cli",
    interface="eth0",
    role=Role.POD,
    addresses=("10.244.1.4", "fd00::4"),
    namespace="cli",
    node="nA",
    twin_of=None,
    packets=1234,
    evidence=("first", "second"),
)
TWIN = replace(POINT, index=1, name="cli.eth0", own_name="cli.eth0", host="cli.eth0", twin_of=0)
OPEN = replace(
    POINT, index=2, name="x", own_name="x", host="x", node=None, role=Role.UNKNOWN, addresses=()
)
RESULT = PointsResult(points=(POINT, TWIN, OPEN))


def manifest_text(result: PointsResult) -> str:
    return "\n".join(manifest_lines(result, tuple(Role)))


def test_rows_name_the_twin_and_leave_unknown_null():
    rows = list(point_rows(RESULT))
    assert [row["twin_of"] for row in rows] == [None, "cli/eth0", None]
    assert [row["role"] for row in rows] == ["pod", "pod", None]
    assert points_document(RESULT)["points"] == rows
    for row in flat_rows(RESULT):
        assert tuple(row) == CSV_COLUMNS
        assert row["evidence"] == "first; second"


def test_the_table_fits_and_says_why():
    wide = list(points_lines(RESULT, Style(width=140)))
    assert wide[0] == "Capture points  3 points, 1 interface captured twice"
    assert wide[2].split()[:2] == ["cli/eth0", "pod"]
    assert wide[2].endswith("first; second")
    assert all(len(line) <= 60 for line in points_lines(RESULT, Style(width=60)))
    cut = replace(RESULT, interrupted=True)
    assert list(points_lines(cut, Style()))[-1].startswith("interrupted")


def test_a_manifest_says_what_was_recognised():
    entries = tomllib.loads(manifest_text(RESULT))["point"]
    assert entries[0] == {
        "match": "cli/eth0",
        "host": "nA",
        "node": "nA",
        "role": "pod",
        "addresses": ["10.244.1.4", "fd00::4"],
    }
    assert entries[1]["host"] == "cli.eth0", "a host that was given stays"
    assert entries[2] == {"match": "x", "host": "x"}
    assert Manifest.parse(manifest_text(RESULT).encode(), "m").entries[0].given.role is Role.POD


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(NAMES)
def test_whatever_a_point_is_called_its_manifest_is_read_back(name):
    point = replace(
        POINT, name=f"n{name}", own_name=name, host=name, node=None, evidence=(f"is {name}",)
    )
    text = manifest_text(PointsResult(points=(point, replace(TWIN, twin_of=0))))
    (entry, _) = Manifest.parse(text.encode(), "m").entries
    assert entry.pattern.fullmatch(name)
    assert entry.given.name == f"n{name}"
    assert entry.given.host == name
    lines = text.split("\n")
    assert all(line.isprintable() for line in lines)


@given(NAMES, NAMES)
def test_a_pattern_is_for_one_name_only(name, other):
    assert fnmatchcase(name, as_pattern(name))
    assert fnmatchcase(other, as_pattern(name)) == (other == name)


def test_octets_that_are_not_utf_8():
    name = b"a\xff".decode("utf-8", "surrogateescape")
    assert as_pattern(name) == "a?"
    assert toml_string(name) == '"a\\uFFFD"'
