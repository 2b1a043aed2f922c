# SPDX-License-Identifier: Apache-2.0
"""reports/verification: the comparison with tshark as text and as rows, on a real one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from genevecap.analysis.verification.verify import CaptureAgreement, Difference, FieldAgreement
from genevecap.cli import main as cli
from genevecap.reports.layout import Style
from genevecap.reports.verification import verify_document, verify_lines


class Made:
    """A comparison made by hand: one difference that is explained, one that is not."""

    tshark_version = "4.0.17"
    interrupted = False

    def __init__(self):
        self.captures = []

    def differences(self):
        yield Difference(
            capture="a\x1b[31m.pcap", frame=7, field="vni", ours="5", theirs="6", explanation=None
        )
        yield Difference(
            capture="a.pcap", frame=9, field="time", ours="", theirs="1", explanation="no time"
        )
        field = FieldAgreement(field="vni", compared=30_000, agreed=29_999, explained=0)
        self.captures.append(CaptureAgreement(path="a.pcap", frames=30_000, fields=(field,)))


def test_text_shows_both_readings_and_the_filter():
    text = "\n".join(verify_lines(Made(), Style(width=80, colour=False)))
    assert "\x1b" not in text
    assert "genevecap  5" in text
    assert "tshark     6" in text
    assert "frame.number == 7" in text
    assert "because    no time" in text
    assert "99.99" in text, "not all is never 100"
    assert "1 unexplained difference" in text


def test_document_does_its_work_in_order():
    document = verify_document(Made())
    rows = list(document["differences"])
    assert [row["frame"] for row in rows] == [7, 9]
    (capture,) = list(document["captures"])
    assert capture["unexplained"] == 1
    assert capture["fields"][0]["compared"] == 30_000


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_a_sample_agrees(samples: Path):
    done = CliRunner().invoke(
        cli.main, ["verify", "--format", "json", str(samples / "vxlan-any-sll2.pcap")]
    )
    assert done.exit_code == 0
    assert json.loads(done.stdout)["captures"][0]["unexplained"] == 0
