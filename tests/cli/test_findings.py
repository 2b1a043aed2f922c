# SPDX-License-Identifier: Apache-2.0
"""`genevecap findings`: the list of rules, and one of them explained."""

from __future__ import annotations

import csv
import io
import json

import pytest
from click.testing import CliRunner

from genevecap.analysis.findings import rules
from genevecap.cli.main import main


def call(*arguments, code=0):
    result = CliRunner().invoke(main, ["findings", *arguments])
    assert result.exit_code == code, result.output
    return result


def test_every_rule_is_listed():
    text = call().stdout
    for code, rule in rules().items():
        assert f"\n{code} " in text
        assert rule.severity in text


def test_one_rule_is_explained():
    text = " ".join(call("v08").stdout.split())
    rule = rules()["V08"]
    for words in (rule.message, rule.explanation, rule.remedy, rule.source, rule.display_filter):
        assert words in text
    assert rules()["V09"].message not in text


def test_several_are_explained_once_each_in_the_order_that_was_asked_for():
    text = call("V09", "G03", "v09").stdout
    headings = [line[:3] for line in text.splitlines() if line[:3] in rules()]
    assert headings == ["V09", "G03"]


def test_as_json():
    document = json.loads(call("--format", "json", "G03").stdout)
    assert document["schema"] == "genevecap/findings/1"
    (row,) = document["findings"]
    assert row["subject"] == "geneve"
    assert row["code"] == "G03"
    assert row.keys() == {
        "code", "subject", "severity", "message", "explanation", "remedy", "source",
        "display_filter", "told_by",
    }  # fmt: skip
    assert row["told_by"] == ["inspect", "flows", "latency", "overhead", "diff captures"]


def test_as_ndjson_and_csv():
    rows = [json.loads(line) for line in call("--format", "ndjson").stdout.splitlines()]
    assert [row["code"] for row in rows] == list(rules())
    cells = list(csv.DictReader(io.StringIO(call("--format", "csv").stdout)))
    assert [row["code"] for row in cells] == list(rules())
    assert {row["code"]: row["told_by"] for row in cells}["H07"] == "flows; latency"


@pytest.mark.parametrize(("text", "hint"), [("G021", "G02"), ("XYZ", "`genevecap findings`")])
def test_an_unknown_code_is_wrong_usage(text, hint):
    result = CliRunner().invoke(main, ["findings", text])
    assert result.exit_code == 2
    assert f"there is no finding {text!r}" in result.stderr
    assert hint in result.stderr


def test_the_same_answer_where_a_code_is_an_option(samples):
    arguments = ["inspect", str(samples / "vxlan-kernel.pcapng"), "--ignore", "V80"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "--ignore: there is no finding 'V80': did you mean" in result.stderr


REFUSED = {
    ("inspect", "A04"): "`inspect` does not look for it, but `flows` and `latency` do",
    ("overhead", "H06"): "`flows` and `latency` do",
    ("latency", "U01"): "but `inspect`, `flows`, `overhead` and `diff captures` do",
    ("flows", "M01"): "but `overhead` does",
    ("diff captures", "A08"): "but `latency` does",
}


@pytest.mark.parametrize(("command", "code"), REFUSED)
def test_a_gate_that_could_never_close_is_wrong_usage(command, code, samples):
    path = str(samples / "vxlan-kernel.pcapng")
    paths = [path, path] if command == "diff captures" else [path]
    result = CliRunner().invoke(main, [*command.split(), *paths, "--fail-on", code])
    assert result.exit_code == 2
    assert REFUSED[command, code] in " ".join(result.stderr.split())


@pytest.mark.parametrize("rule", rules().values(), ids=rules())
def test_every_rule_is_told_by_commands_that_exist(rule):
    for command in rule.told_by:
        help_text = CliRunner().invoke(main, [*command.split(), "--help"]).stdout
        assert "--fail-on" in help_text


@pytest.mark.parametrize("command", ["inspect", "flows", "latency", "overhead"])
@pytest.mark.parametrize(
    "name", ["vxlan-kernel.pcapng", "ztunnel-unreachable", "ambient-iptables-geneve"]
)
def test_no_command_tells_what_it_is_not_said_to(command, name, samples):
    paths = sorted(map(str, samples.glob(f"{name}/*.pcap*"))) or [str(samples / name)]
    told = CliRunner().invoke(main, [command, *paths, "--format", "json"]).stdout
    for found in json.loads(told)["findings"]:
        assert command in rules()[found["code"]].told_by
