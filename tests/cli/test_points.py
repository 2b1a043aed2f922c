# SPDX-License-Identifier: Apache-2.0
"""`genevecap points`, and `--points` of the commands that take it."""

from __future__ import annotations

import csv
import io
import json
import tomllib

import pytest
from click.testing import CliRunner

from genevecap.cli.main import main
from tests.analysis.pointing import NODE_A, NODE_B, talk, tunnelled, write


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    inside = talk(ttl=63)
    write(tmp_path, "node", {"eth0": [tunnelled(inside[0])], "veth1": talk()})
    write(tmp_path, "cli", {"eth0": talk()})
    write(tmp_path, "what", {"eth0": talk(NODE_A, [NODE_B], peer_ttl=64)})

    def invoke(*words):
        return CliRunner().invoke(main, [str(word) for word in words])

    return invoke


def test_the_table(run):
    result = run("points", "node.pcapng", "cli.pcapng")
    assert result.exit_code == 0
    assert result.stderr == ""
    rows = {line.split()[0]: line.split() for line in result.stdout.splitlines()[2:]}
    assert rows["node/eth0"][1] == "underlay"
    assert rows["node/veth1"][1:4] == ["node-veth", "10.244.1.4", "node"]
    assert rows["cli/eth0"][1:4] == ["pod", "10.244.1.4", "node"]


def test_every_format_says_the_same(run):
    words = ("points", "node.pcapng", "cli.pcapng", "--format")
    document = json.loads(run(*words, "json").stdout)
    assert document["schema"] == "genevecap/points/1"
    rows = document["points"]
    assert [row["name"] for row in rows] == ["node/eth0", "node/veth1", "cli/eth0"]
    assert rows[2] == {
        "name": "cli/eth0",
        "host": "cli",
        "interface": "eth0",
        "role": "pod",
        "addresses": ["10.244.1.4"],
        "namespace": "cli",
        "node": "node",
        "twin_of": None,
        "packets": 4,
        "evidence": rows[2]["evidence"],
    }
    assert [json.loads(line) for line in run(*words, "ndjson").stdout.splitlines()] == rows
    flat = list(csv.DictReader(io.StringIO(run(*words, "csv").stdout)))
    assert [row["role"] for row in flat] == [row["role"] for row in rows]


def test_a_manifest_is_written_corrected_and_used(run, tmp_path):
    assert run("points", "what.pcapng", "-o", "points.toml").exit_code == 0
    path = tmp_path / "points.toml"
    text = path.read_text()
    assert tomllib.loads(text)["point"] == [{"match": "what/eth0", "host": "what"}]
    assert run("points", "what.pcapng", "--manifest").stdout == text
    path.write_text(text.replace('# role = "unknown"', 'role = "bridge"\nname = "br"'))
    result = run("points", "what.pcapng", "--points", "points.toml", "--format", "json")
    (row,) = json.loads(result.stdout)["points"]
    assert (row["name"], row["role"]) == ("br", "bridge")
    assert row["evidence"][0] == "the manifest says so"
    again = run("points", "what.pcapng", "--points", "points.toml", "--manifest").stdout
    assert tomllib.loads(again)["point"][0]["match"] == "what/eth0"


def test_inspect_shows_roles_and_takes_a_manifest(run, tmp_path):
    (tmp_path / "m.toml").write_text('[[point]]\nmatch = "cli/*"\nname = "c"\nrole = "gateway"')
    words = ("inspect", "cli.pcapng", "what.pcapng", "--table", "points", "--format", "ndjson")
    plain = [json.loads(line) for line in run(*words).stdout.splitlines()]
    assert [(row["name"], row["role"]) for row in plain] == [
        ("cli/eth0", "pod"),
        ("what/eth0", None),
    ]
    told = [json.loads(line) for line in run(*words, "--points", "m.toml").stdout.splitlines()]
    assert [(row["name"], row["role"]) for row in told] == [("c", "gateway"), ("what/eth0", None)]
    rows = run("inspect", "cli.pcapng", "--packets", "--format", "ndjson", "--points", "m.toml")
    assert {json.loads(line)["point"] for line in rows.stdout.splitlines()} == {"c"}
    frame = run("inspect", "cli.pcapng", "--frame", 1, "--format", "json", "--points", "m.toml")
    assert '"c"' in frame.stdout
    chosen = run("inspect", "cli.pcapng", "--point", "c", "--points", "m.toml", "--format", "json")
    assert json.loads(chosen.stdout)["selected_packets"] == 4


def test_a_selection_does_not_change_what_a_point_is(run):
    words = ("inspect", "cli.pcapng", "--format", "json", "--addr", "10.244.2.9")
    (capture,) = json.loads(run(*words).stdout)["captures"]
    assert capture["points"][0]["role"] == "pod"


def test_patterns_that_match_nothing_are_a_warning(run, tmp_path):
    (tmp_path / "m.toml").write_text('[[point]]\nmatch = "clii/*"\nhost = "x"')
    result = run("points", "cli.pcapng", "--points", "m.toml")
    assert result.exit_code == 0
    assert result.stderr == (
        "warning: --points m.toml: no capture point matches 'clii/*'; there are cli/eth0\n"
    )


def test_one_clock_goes_before_the_hosts_of_a_manifest(run, tmp_path):
    (tmp_path / "m.toml").write_text('[[point]]\nmatch = "*"\nhost = "x"')
    words = ("points", "cli.pcapng", "what.pcapng", "--points", "m.toml", "--format", "json")
    assert {row["host"] for row in json.loads(run(*words).stdout)["points"]} == {"x"}
    one = json.loads(run(*words, "--same-clock").stdout)["points"]
    assert {row["host"] for row in one} == {"cli"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("points", "cli.pcapng", "--points", "none.toml"), "--points none.toml: No such file"),
        (("points", "cli.pcapng", "--points", "cli.pcapng"), "--points cli.pcapng: not TOML"),
        (("points", "cli.pcapng", "--manifest", "--format", "json"), "leave --format json out"),
        (("points",), "Missing argument"),
    ],
)
def test_wrong_usage(run, words, message):
    result = run(*words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_capture_that_cannot_be_read(run, tmp_path):
    (tmp_path / "kept.toml").write_text("kept")
    result = run("points", "missing.pcap", "-o", "kept.toml")
    assert result.exit_code == 3
    assert (tmp_path / "kept.toml").read_text() == "kept"
    both = run("points", "missing.pcap", "cli.pcapng")
    assert both.exit_code == 3
    assert "cli/eth0" in both.stdout
