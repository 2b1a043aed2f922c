# SPDX-License-Identifier: Apache-2.0
"""Where nothing of any input can be read there is nothing on stdout, and no file is touched."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from genevecap.cli import main as cli
from tests.build import captures

WAYS = [
    [],
    ["--format", "json"],
    ["--format", "csv"],
    ["--packets"],
    ["--packets", "--format", "json"],
    ["--packets", "--format", "csv"],
    ["--packets", "--format", "ndjson"],
    ["--frame", "1"],
]


@pytest.mark.parametrize("words", WAYS, ids=" ".join)
def test_nothing_on_stdout_and_the_old_file_stays(words: list[str], tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pcap")
    kept = tmp_path / "kept"
    kept.write_text("precious")
    done = CliRunner().invoke(cli.main, ["inspect", missing, *words])
    assert (done.exit_code, done.stdout) == (3, "")
    done = CliRunner().invoke(cli.main, ["inspect", missing, *words, "-o", str(kept)])
    assert done.exit_code == 3
    assert done.stderr.count("error: ") == 1
    assert kept.read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept"]


@pytest.mark.parametrize("words", WAYS[:7], ids=" ".join)
def test_a_capture_without_packets_is_a_result(words: list[str], tmp_path: Path) -> None:
    empty, out = tmp_path / "empty.pcap", tmp_path / "out"
    empty.write_bytes(captures.pcap())
    out.write_text("old")
    done = CliRunner().invoke(cli.main, ["inspect", str(empty), *words, "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert out.read_text() != "old"


@pytest.mark.parametrize("words", WAYS[:7], ids=" ".join)
def test_one_good_capture_is_enough(words: list[str], tmp_path: Path, samples: Path) -> None:
    missing = str(tmp_path / "missing.pcap")
    good = str(samples / "vxlan-any-sll2.pcap")
    done = CliRunner().invoke(cli.main, ["inspect", missing, good, *words])
    assert done.exit_code == 3
    assert done.stdout
