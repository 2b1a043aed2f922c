# SPDX-License-Identifier: Apache-2.0
"""`genevecap convert` on the command line."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

import genevecap
from genevecap.cli.main import main
from tests.build import captures as c

GENEVE = "geneve-ovs.pcapng"


@pytest.fixture
def run(samples, monkeypatch):
    monkeypatch.chdir(samples)

    def call(*words):
        return CliRunner().invoke(main, ["convert", *map(str, words)])

    return call


def test_it_says_what_it_did_on_stderr(run, tmp_path):
    out = tmp_path / "out.pcapng"
    result = run(GENEVE, out, "--to", "vxlan", "--vni", 3)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == (
        f"{GENEVE}: 105 of 213 packets converted to vxlan\n  108 as they were: no tunnel\n"
    )
    assert {tunnel.vni for tunnel in genevecap.inspect(str(out)).tunnels} == {3}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give one of --decapsulate and --to"),
        (("--decapsulate", "--to", "vxlan"), "give one of --decapsulate and --to"),
        (("--decapsulate", "--vni", "3"), "give --to with it"),
    ],
)
def test_wrong_usage(run, tmp_path, words, message):
    result = run(GENEVE, tmp_path / "out.pcapng", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_names_that_cannot_be(run, tmp_path):
    assert "/dev/stdout" in run(GENEVE, "-", "--decapsulate").stderr
    assert "not compressed" in run(GENEVE, tmp_path / "out.pcap.gz", "--decapsulate").stderr
    assert run(GENEVE, GENEVE, "--decapsulate").exit_code == 2


def test_what_cannot_be_read_leaves_an_earlier_file_alone(run, tmp_path):
    out = tmp_path / "out.pcapng"
    out.write_text("earlier")
    result = run(tmp_path / "missing", out, "--decapsulate")
    assert result.exit_code == 3
    assert out.read_text() == "earlier"


@pytest.mark.parametrize("name", ["out.pcap", "out.pcapng"])
def test_a_capture_without_packets(run, tmp_path, name):
    (tmp_path / "empty.pcap").write_bytes(c.pcap_header())
    result = run(tmp_path / "empty.pcap", tmp_path / name, "--decapsulate")
    assert (result.exit_code, result.stdout) == (0, "")
    assert genevecap.inspect(str(tmp_path / name)).captures[0].packets == 0


def test_standard_input_is_not_written_over_either(samples, tmp_path):
    path = tmp_path / "in.pcapng"
    path.write_bytes((samples / GENEVE).read_bytes())
    command = [sys.executable, "-m", "genevecap"]
    for words in (["convert", "-", path, "--decapsulate"], ["inspect", "-", "-o", path]):
        with path.open("rb") as stream:
            done = subprocess.run(
                [*command, *words], stdin=stream, capture_output=True, check=False
            )
        assert done.returncode == 2
        assert b"this is an input" in done.stderr
    assert path.read_bytes() == (samples / GENEVE).read_bytes()
