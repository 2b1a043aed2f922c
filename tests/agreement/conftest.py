# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the agreement test, and its summary at the end of a run."""

from __future__ import annotations

import functools

import pytest

from . import survey as surveys

SUMMARY = "agreement"
CORPUS_FILES = 391
"""How many files the corpus has at least; a part of it would make a part of the test."""

whole_survey = functools.cache(surveys.survey)


@pytest.fixture(scope="session")
def corpus():
    directory = surveys.corpus_directory()
    if directory is None:
        pytest.skip(
            f"no corpus at {surveys.CORPUS_VARIABLE} or ../shared/corpus: "
            f"{CORPUS_FILES} captures are not compared with their truth"
        )
    return directory


@pytest.fixture(params=surveys.DECODERS)
def decoder(request):
    if request.param == "compiled" and not surveys.has_kernels():
        pytest.skip("the decoder is not compiled here: only the readable one is compared")
    return request.param


@pytest.fixture
def result(corpus, decoder):
    """The whole corpus held against the truth, once per decoder and process."""
    return whole_survey(corpus, decoder)


def pytest_terminal_summary(terminalreporter):
    """Print what was compared; by way of the reports, so that it also works under xdist."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == SUMMARY and report.when == "call":
                    terminalreporter.write_line("")
                    terminalreporter.write_line(value)
