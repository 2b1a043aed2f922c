# SPDX-License-Identifier: Apache-2.0
"""Every vector, read by tshark too: a witness for what no capture of others shows."""

from __future__ import annotations

import shutil
import subprocess
from collections import defaultdict

import pytest

from genevecap.analysis.packets import packets
from genevecap.analysis.verification.verify import GAVE_UP, Verification, _Tally
from genevecap.capture.spec import CaptureSpec
from genevecap.decode import DecodeSettings
from genevecap.decode.detail import detail
from tests.build.captures import pcap_header, pcap_record
from tests.decode.vectors import VECTORS, frame_batch

KNOWN = {
    "vxlan-gpe-without-p": "tshark reads nothing where P is clear, the draft has Ethernet there",
    "vxlan-gpe-without-i": "tshark shows the VNI field whatever the I flag says",
    "thirty-two-headers": "tshark gives up after some twenty tags",
    "thirty-three-headers-the-last-unknown": "the same",
}
"""Vectors that tshark reads otherwise, and why that is no fault of ours."""

BY_LINK_TYPE = defaultdict(list)
for _vector in VECTORS:
    BY_LINK_TYPE[_vector.link_type].append(_vector)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not here")
@pytest.mark.parametrize("link_type", sorted(BY_LINK_TYPE))
def test_vectors_agree_with_tshark(link_type, tmp_path):
    vectors = BY_LINK_TYPE[link_type]
    path = tmp_path / "vectors.pcap"
    records = [
        pcap_record(each.data, seconds=1 + number, original=each.original_length)
        for number, each in enumerate(vectors)
    ]
    path.write_bytes(pcap_header(link=link_type) + b"".join(records))
    checked = Verification(
        [CaptureSpec.parse(str(path))], settings=DecodeSettings(), on_problem=print
    )
    found = [
        (vectors[difference.frame - 1].name, difference.field, difference.ours, difference.theirs)
        for difference in checked.differences()
        if difference.explanation is None
    ]
    assert [each for each in found if each[0] not in KNOWN] == []
    assert {name for name, *_ in found} == KNOWN.keys() & {each.name for each in vectors}
    (capture,) = checked.captures
    assert capture.frames == len(vectors)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not here")
def test_esp_without_encryption_agrees_with_tshark(tmp_path):
    from tests.decode.test_esp_null import FRAMES, IPV4, SETTINGS

    path = tmp_path / "null.pcap"
    path.write_bytes(pcap_header(link=IPV4) + b"".join(pcap_record(f, seconds=1) for f in FRAMES))
    checked = Verification([CaptureSpec.parse(str(path))], settings=SETTINGS, on_problem=print)
    assert [d for d in checked.differences() if d.explanation is None] == []


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not here")
def test_stt_agrees_with_tshark_told_to_look_for_it(tmp_path):
    vector = next(each for each in VECTORS if each.name == "stt-whole-frame")
    path = tmp_path / "stt.pcap"
    path.write_bytes(pcap_header(link=vector.link_type) + pcap_record(vector.data, seconds=1))
    names = ("version", "flags", "l4offset", "mss", "vlan.id", "context_id", "padding")
    fields = [word for name in names for word in ("-e", f"stt.{name}")]
    line = subprocess.run(
        ["tshark", "-r", str(path), "-o", "ip.try_heuristic_first:TRUE", "-T", "fields", *fields],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    theirs = [int(word, 0) for word in line.rstrip("\n").split("\t")]
    frames = frame_batch([(vector.link_type, vector.data, vector.original_length)])
    (layer,) = (layer for layer in detail(frames, 0).layers if layer.name == "stt")
    ours = {field.name: field.value for field in layer.fields}
    mine = ("version", "flags", "l4_offset", "maximum_segment_size", "vlan_id", "context_id")
    assert [*(ours[name] for name in mine), ours["padding"]] == theirs


def test_records_behind_what_tshark_gave_up_are_explained(samples):
    spec = CaptureSpec.parse(str(samples / "geneve-ovs.pcapng"))
    row = next(packets([spec], on_problem=print))
    for gave_up, explanation in ((True, GAVE_UP), (False, None)):
        (difference,) = _Tally(spec.path).take(row, None, gave_up=gave_up)
        assert (difference.field, difference.explanation) == ("frame", explanation)
