# SPDX-License-Identifier: Apache-2.0
"""`genevecap diff captures` on the command line: cli/run_options and reports/capture_diff."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from genevecap.cli.main import main
from genevecap.cli.run_options import RunType
from genevecap.errors import UsageError
from genevecap.reports import capture_diff
from tests.analysis.test_capture_diff import record

IPTABLES, IN_POD = "ambient-iptables-geneve", "ambient-in-pod"


@pytest.fixture
def run(samples, monkeypatch):
    monkeypatch.chdir(samples)

    def call(*words):
        return CliRunner().invoke(main, ["diff", "captures", *map(str, words)])

    return call


def test_keys_of_the_contract(run):
    document = json.loads(run(IPTABLES, IN_POD, "--same-clock", "--format", "json").stdout)
    assert document["schema"] == "genevecap/diff-captures/1"
    assert document.keys() >= {"schema", "a", "b", "hops", "overhead", "findings"}
    assert document["a"]["mode"] == "iptables-geneve"
    assert len(document["b"]["captures"]) == 7
    for row in document["hops"]:
        assert row.keys() >= {
            "hop", "p50_a_ns", "p50_b_ns", "difference_ns", "ci95_ns", "p_value", "packets_a",
            "packets_b",
        }  # fmt: skip
        if row["difference_ns"] is not None:
            assert row["difference_ns"] == row["p50_b_ns"] - row["p50_a_ns"]
    assert len({row["hop"] for row in document["hops"]}) == len(document["hops"])
    told = [row for row in document["segments"] if row["ci95_ns"] is not None]
    assert told
    for row in told:
        low, high = row["ci95_ns"]
        assert low <= high
        assert 0 < row["p_value"] <= 1


def test_lists_are_the_same_in_all_forms(run):
    words = (IPTABLES, IN_POD, "--same-clock")
    whole = json.loads(run(*words, "--format", "json").stdout)
    for name in capture_diff.TABLES:
        listed = [
            json.loads(line)
            for line in run(*words, "--format", "ndjson", "--table", name).stdout.splitlines()
        ]
        assert listed == whole[name]
        only = json.loads(run(*words, "--format", "json", "--table", name).stdout)
        assert only == {"schema": capture_diff.SCHEMA, name: listed}
        text = run(*words, "--format", "csv", "--table", name).stdout
        rows = list(csv.DictReader(io.StringIO(text)))
        assert len(rows) == len(listed)
        assert tuple(text.splitlines()[0].split(",")) == capture_diff.CSV_COLUMNS[name]
        assert run(*words, "--table", name).stdout


def test_the_table_says_what_is_too_few(run):
    done = run(IPTABLES, IN_POD, "--same-clock")
    assert done.exit_code == 0
    for word in ("iptables-geneve", "in-pod", "first-byte", "too few sessions", "only a", "points"):
        assert word in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 120


def test_files_may_be_given_one_by_one(run, samples):
    files = sorted(str(p.relative_to(samples)) for p in (samples / IN_POD).glob("*.pcapng"))
    more = [word for file in files[1:] for word in ("--a", file)]
    more += [word for file in files[1:] for word in ("--b", file)]
    document = json.loads(run(files[0], files[0], *more, "--same-clock", "--format", "json").stdout)
    assert document["a"]["captures"] == document["b"]["captures"] == files
    assert all(row["difference_ns"] in {0, None} for row in document["hops"])


def test_exit_codes(run, tmp_path, samples):
    few = record(tmp_path / "few.pcapng", sessions=3)
    done = run(few, few)
    assert done.exit_code == 4
    assert "too few sessions to tell" in done.stderr
    assert "too few sessions" in done.stdout
    damaged = tmp_path / "damaged.pcapng"
    damaged.write_bytes(Path(few).read_bytes() + b"\xff" * 40)
    done = run(few, damaged)
    assert done.exit_code == 3
    assert done.stdout
    assert done.stderr.count("damaged.pcapng") == 1  # each reading meets it, and it is said once
    text = tmp_path / "text.pcap"
    text.write_text("no capture")
    done = run(few, text)
    assert (done.exit_code, done.stdout) == (3, "")
    assert run(few).exit_code == 2
    assert run(tmp_path / "missing.pcap", few).exit_code == 3


def test_an_interrupt_ends_it(run, samples, monkeypatch):
    from genevecap.analysis.inputs import Inputs

    def stop(_self):
        raise KeyboardInterrupt

    monkeypatch.setattr(Inputs, "batches", stop)
    done = run(IPTABLES, IN_POD)
    assert (done.exit_code, done.stdout) == (130, "")
    monkeypatch.undo()
    # The second reading of the first run is side by side.
    monkeypatch.setattr("genevecap.analysis.hops.latency.SideBySide.pieces", stop)
    monkeypatch.chdir(samples)
    done = run(IPTABLES, IN_POD, "--same-clock")
    assert done.exit_code == 130
    assert "interrupted: compares what was read so far" in done.stdout
    assert "none" in next(line for line in done.stdout.splitlines() if line.startswith("B "))
    document = json.loads(run(IPTABLES, IN_POD, "--same-clock", "--format", "json").stdout)
    assert document["interrupted"]
    assert document["a"]["packets"] > 0 == document["b"]["packets"]


def test_folders(tmp_path, samples):
    kind = RunType()
    folder = tmp_path / "set"
    folder.mkdir()
    with pytest.raises(UsageError, match="no capture in this folder"):
        kind.convert(str(folder), None, None)
    shutil.copy(samples / "geneve-short.pcap.gz", folder / "b.pcap.gz")
    shutil.copy(samples / "vxlan-kernel.pcapng", folder / "a.pcapng")
    (folder / "truth.json").write_text("{}")
    (folder / "deeper.pcap").mkdir()
    specs = kind.convert(str(folder), None, None)
    assert [(spec.name, Path(spec.path).name) for spec in specs] == [
        ("a", "a.pcapng"),
        ("b", "b.pcap.gz"),
    ]
    assert kind.convert(specs, None, None) is specs
    with pytest.raises(UsageError, match="takes no NAME"):
        kind.convert(f"x={folder}", None, None)
    (named,) = kind.convert(f"x@h={folder / 'a.pcapng'}", None, None)
    assert (named.name, named.host) == ("x", "h")
    os.mkfifo(tmp_path / "pipe.pcap")
    for once in ("-", str(tmp_path / "pipe.pcap")):
        with pytest.raises(UsageError, match="several times"):
            kind.convert(once, None, None)


def test_a_finding_that_appeared_fails_the_run_where_asked_to(run, samples, tmp_path):
    """Nothing else can be compared here, which is graver: exit code 4."""
    healthy, fragmented = samples / "vxlan-any-sll2.pcap", samples / "vxlan-kernel.pcapng"
    words = ("--format", "json", "--table", "findings")
    appeared = json.loads(run(healthy, fragmented, *words).stdout)["findings"]
    assert ("V08", "appeared") in {(each["code"], each["change"]) for each in appeared}
    ignored = json.loads(run(healthy, fragmented, *words, "--ignore", "V08").stdout)["findings"]
    assert "V08" not in {each["code"] for each in ignored}


@pytest.mark.parametrize(("change", "code"), [("appeared", 1), ("went", 0)])
def test_only_what_appeared_is_judged(change, code):
    from genevecap.analysis.comparison.results import CaptureDiff, FindingChange
    from genevecap.cli.gate import Gate
    from genevecap.cli.messages import Outcome

    found = FindingChange(
        code="V08", severity="error", message="", change=change, packets=1, display_filter=""
    )
    result = CaptureDiff(
        a=None, b=None, hops=(), segments=(), sessions=(), overhead=(), findings=(found,)
    )
    outcome = Outcome()
    assert Gate(fail_on=("error",), ignore=frozenset()).judged(result, outcome) is result
    assert outcome.code == code
    ignoring = Gate(fail_on=("error",), ignore=frozenset({"V08"}))
    assert ignoring.judged(result, outcome).findings == ()
