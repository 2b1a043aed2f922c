# SPDX-License-Identifier: Apache-2.0
"""Every frame of the corpus, as genevecap and as an independent dissector read it."""

from __future__ import annotations

import pytest

from . import survey as surveys
from .conftest import CORPUS_FILES, SUMMARY, whole_survey

LEAST_SHARE_AGREED = 0.995
HINT = "python -m tests.agreement.report shows them with both readings"


def lines(items, limit=30):
    shown = [str(item) for item in items[:limit]]
    return "\n".join([f"{len(items)} of them ({HINT}):", *shown])


def test_whole_corpus_is_there(corpus):
    names = surveys.file_names(corpus)
    assert len(names) >= CORPUS_FILES
    assert [n for n in names if not (corpus / "captures" / n).is_file()] == []


def test_decoder_in_use_is_the_one_asked_for(result, decoder):
    loaded = {name for file in result.files for name in file.output.kernels}
    assert bool(loaded) == (decoder == "compiled"), loaded


def test_no_file_ends_badly(result):
    faults = result.faults()
    assert not faults, lines(faults)


def test_every_difference_is_listed(result, record_property):
    record_property(SUMMARY, str(result.summary()))
    unlisted = result.unlisted()
    assert not unlisted, lines(unlisted)


def test_every_entry_still_differs(result):
    assert not result.stale, lines(result.stale)


def test_nearly_all_frames_agree_without_an_entry(result):
    summary = result.summary()
    assert summary.in_full > 3000
    assert summary.share_agreed >= LEAST_SHARE_AGREED, str(summary)


def test_what_is_no_capture_is_one_clear_error(result):
    (snoop,) = [f for f in result.files if f.expected.name == "pcpp__solaris.snoop"]
    assert snoop.output.exit_code == 3
    assert not snoop.output.rows
    (line,) = snoop.output.stderr.splitlines()
    assert line.startswith("error: ")
    assert "pcpp__solaris.snoop" in line


def test_both_decoders_print_the_same_rows(corpus):
    if not surveys.has_kernels():
        pytest.skip("the decoder is not compiled here: there is nothing to compare with")
    compiled, readable = (whole_survey(corpus, decoder) for decoder in surveys.DECODERS)
    different = [
        (one.expected.name, number)
        for one, other in zip(compiled.files, readable.files, strict=True)
        for number in sorted({*one.output.rows, *other.output.rows})
        if one.output.rows.get(number) != other.output.rows.get(number)
    ]
    assert not different, lines(different)
