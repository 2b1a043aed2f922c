# SPDX-License-Identifier: Apache-2.0
"""The manifest of `--points`: what it says reaches the points, what is wrong in it is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genevecap.capture.manifest import MOST_OCTETS, Manifest
from genevecap.capture.points import PointTable
from genevecap.capture.roles import Role
from genevecap.capture.spec import CaptureSpec
from genevecap.errors import UsageError


def table_of(text: str, *names: tuple[str, str | None]) -> PointTable:
    table = PointTable(Manifest.parse(text.encode(), "points.toml"))
    for number, (capture, interface) in enumerate(names):
        table.add(CaptureSpec.parse(capture), number, interface, 1)
    return table


def test_what_it_says_of_a_point():
    text = """
        [[point]]
        match = "node/eth0"
        name = "a/card"
        host = "a"
        node = "worker-1"
        role = "underlay"
        addresses = ["172.18.0.2", "fd00:0:0::2"]
    """
    (point,) = table_of(text, ("node.pcapng", "eth0")).points
    assert (point.name, point.own_name, point.host) == ("a/card", "node/eth0", "a")
    assert (point.given.node, point.given.role) == ("worker-1", Role.UNDERLAY)
    assert point.given.addresses == ("172.18.0.2", "fd00::2")


def test_the_last_of_all_that_match_counts_key_by_key():
    text = """
        [[point]]
        match = "*"
        host = "a"
        role = "pod"
        [[point]]
        match = "node/*"
        host = "b"
        [[point]]
        match = "node/eth0"
        role = "underlay"
    """
    table = table_of(text, ("node.pcap", "eth0"), ("node.pcap", "lo"), ("cli.pcap", None))
    found = [(point.host, str(point.given.role)) for point in table.points]
    assert found == [("b", "underlay"), ("b", "pod"), ("a", "pod")]
    assert table.unmatched() == []


def test_patterns_without_a_point():
    text = '[[point]]\nmatch = "nowhere/*"\nhost = "x"\n[[point]]\nmatch = "c?i"\nhost = "y"'
    table = table_of(text, ("cli.pcap", None), ("Cli.pcap", None))
    assert table.unmatched() == ["nowhere/*"]
    assert [point.host for point in table.points] == ["y", "Cli"]


def test_names_stay_unique():
    text = '[[point]]\nmatch = "*"\nname = "all"'
    table = table_of(text, ("a.pcap", None), ("b.pcap", None), ("all.pcap", None))
    assert table.names == ["all", "all~2", "all~3"]


def test_it_matches_the_number_of_a_name_that_is_taken():
    text = '[[point]]\nmatch = "a~2"\nhost = "x"'
    table = table_of(text, ("a.pcap", None), ("a.pcapng", None))
    assert [point.host for point in table.points] == ["a", "x"]


def test_without_hosts():
    text = '[[point]]\nmatch = "*"\nhost = "x"\nrole = "wire"'
    (entry,) = Manifest.parse(text.encode(), "m").without_hosts().entries
    assert (entry.given.host, entry.given.role) == (None, Role.WIRE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[point]", "not TOML: "),
        ("x = 1", "unknown key 'x': only [[point]] is known"),
        ("point = 1", "'point' must be a list of tables: write [[point]]"),
        ("[point]\nmatch = 'a'", "'point' must be a list of tables: write [[point]]"),
        ("[[point]]\nrole = 'pod'", "[[point]] 1: 'match' is missing"),
        (
            "[[point]]\nmatch = 'a'\n[[point]]\nmatch = 'b'\nrule = 'pod'",
            "[[point]] 2: unknown key 'rule': known are match, name, host, node, role, addresses",
        ),
        ("[[point]]\nmatch = 3", "[[point]] 1: 'match' must be text in quotes, not 3"),
        ("[[point]]\nmatch = ''", "[[point]] 1: 'match' must not be empty"),
        ("[[point]]\nmatch = 'a'\nhost = ['b']", "[[point]] 1: 'host' must be text in quotes"),
        (
            "[[point]]\nmatch = 'a'\nrole = 'nod'",
            "[[point]] 1: 'role': 'nod' is no role: known are pod, lo, node-veth",
        ),
        ("[[point]]\nmatch = 'a'\naddresses = '1.2.3.4'", "'addresses' must be a list of"),
        ("[[point]]\nmatch = 'a'\naddresses = ['1.2.3']", "'1.2.3' is not an IPv4 or IPv6"),
        ("[[point]]\nmatch = 'a'\naddresses = [1]", "an address must be text in quotes, not 1"),
        (f"x = {'[' * 100_000}", "not TOML: "),
        (f"[[point]]\nmatch = {'9' * 5000}", "not TOML: "),
    ],
)
def test_what_is_wrong_is_named_in_one_line(text, message):
    with pytest.raises(UsageError) as raised:
        Manifest.parse(text.encode(), "points.toml")
    said = str(raised.value)
    assert said.startswith("--points points.toml: ")
    assert message in said
    assert "\n" not in said


def test_files_that_cannot_be_manifests(tmp_path):
    for path in (tmp_path, tmp_path / "missing.toml", "a\0b"):
        with pytest.raises(UsageError, match="--points"):
            Manifest.read(str(path))
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * (MOST_OCTETS + 1))
    with pytest.raises(UsageError, match="larger than 1048576 octets"):
        Manifest.read(str(large))
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'[[point]]\nmatch = "\xe4"')
    with pytest.raises(UsageError, match="not TOML"):
        Manifest.read(str(latin))


@given(st.binary(max_size=200))
def test_any_octets_are_a_manifest_or_one_error(octets):
    try:
        Manifest.parse(octets, "m")
    except UsageError as error:
        assert str(error).startswith("--points m: ")  # noqa: PT017
