# SPDX-License-Identifier: Apache-2.0
"""The lists that people write: well formed, and every entry earns its place."""

from __future__ import annotations

import pytest

from . import listed
from . import survey as surveys
from .readings import Difference

ENTRY = {
    "file": "x.pcap",
    "frame": 1,
    "field": "inner.protocol",
    "truth": "6",
    "ours": "17",
    "reason": "because of RFC 791 section 3.1",
}
FOUND = Difference("x.pcap", 1, "inner.protocol", "6", "17")


def test_entry_explains_only_its_own_difference():
    entries = listed.Entries.parse({"difference": [ENTRY]})
    other = Difference("x.pcap", 1, "inner.protocol", "6", "18")
    assert entries.split([FOUND, other]) == ((other,), (FOUND,))
    assert entries.unused(["x.pcap"]) == ()


def test_entry_that_nothing_meets_is_found():
    entries = listed.Entries.parse({"difference": [ENTRY]})
    assert entries.split([]) == ((), ())
    assert [e.difference for e in entries.unused(["x.pcap"])] == [FOUND]
    assert entries.unused(["y.pcap"]) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"reason": ""},
        {"reason": "just so"},
        {"file": "*.pcap"},
        {"field": "inner.*"},
        {"frame": "1"},
        {"ours": "6"},
        {"also": "this"},
    ],
)
def test_entry_of_another_form_is_refused(change):
    with pytest.raises(listed.ListError):
        listed.Entries.parse({"difference": [{**ENTRY, **change}]})


def test_entry_is_not_written_twice():
    with pytest.raises(listed.ListError):
        listed.Entries.parse({"difference": [ENTRY, {**ENTRY, "reason": "for another reason"}]})


def test_list_of_differences_is_well_formed():
    listed.Entries.load()


def test_entries_name_files_of_the_corpus(corpus):
    names = set(surveys.file_names(corpus))
    assert [d for d in listed.Entries.load().entries if d.file not in names] == []


def test_every_published_value_stands_in_the_published_text(corpus):
    published = listed.published()
    big_tcp = {n for n in surveys.file_names(corpus) if "bigtcp" in n}
    assert {file for file, _ in published} == big_tcp
    for (file, _), reading in published.items():
        text = published_text(corpus, file, reading.citation)
        for level in (*reading.tunnels, reading.inner):
            for name in ("source", "destination", "source_port", "destination_port"):
                assert str(getattr(level, name)) in text, (file, name)
        for tunnel in reading.tunnels:
            assert f"vni {tunnel.vni}" in text or f"vni {tunnel.vni:#x}" in text


def published_text(corpus, file, citation):
    (path,) = (corpus / "truth").glob(f"{file}.upstream.*.out")
    text = path.read_text()
    assert citation.split()[-1] in text.splitlines()[0]
    return text
