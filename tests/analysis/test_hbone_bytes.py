# SPDX-License-Identifier: Apache-2.0
"""What HBONE costs: handshakes and records counted, HTTP/2 estimated, and how well."""

from __future__ import annotations

import shutil
import subprocess
from collections import defaultdict

import pytest

from genevecap.addresses import address_text
from genevecap.analysis.costs.hbone_bytes import HboneMeter
from genevecap.analysis.costs.overhead import OverheadCounter
from genevecap.analysis.inputs import Inputs, read_into
from genevecap.analysis.run_counts import RunCounts
from genevecap.analysis.select import Selector
from genevecap.capture.spec import CaptureSpec
from genevecap.decode import DecodeSettings
from tests.decode.test_tls_records import record


class Talk:
    """Feeds records to a meter, each as a segment of its own."""

    def __init__(self):
        self.meter, self.next = HboneMeter(), {True: 1, False: 1}
        self.meter.begin(True, 0)
        self.meter.begin(False, 0)

    def say(self, from_client, *lengths, kind=23):
        for length in lengths:
            data = record(length, kind)
            self.meter.update(from_client, self.next[from_client], data, len(data))
            self.next[from_client] += len(data)

    def handshake(self, hello=200):
        """As ztunnel 1.31 and its peer write it (lengths of a recording with keys).

        hello: of the ClientHello; Envoy's has 1403.
        """
        self.say(True, hello, kind=22)
        self.say(False, 122, kind=22)
        self.say(False, 1, kind=20)
        self.say(False, 848)  # EncryptedExtensions to Finished
        self.say(True, 1, kind=20)
        self.say(True, 770)  # Certificate to Finished
        self.say(True, 41, 255)  # preface; SETTINGS, WINDOW_UPDATE and the first CONNECT
        self.say(False, 179)  # two tickets
        self.say(False, 50, 39)  # SETTINGS; acknowledgment and WINDOW_UPDATE


def test_one_stream_to_the_octet():
    talk = Talk()
    talk.handshake()
    talk.say(True, 26)
    talk.say(False, 110)  # 200, the first
    talk.say(True, 143)  # DATA of 117
    talk.say(False, 209, 26)  # DATA of 183, END_STREAM
    talk.say(True, 26)
    up, down = talk.meter.result(True), talk.meter.result(False)
    assert up.handshake_bytes == 205 + 6 + 775
    assert up.tls_bytes == up.handshake_bytes + 5 * 22
    assert up.application_bytes == 117
    assert up.http2_bytes == 24 + 238 + 9 + 9 + 9
    assert down.handshake_bytes == 127 + 6 + 853 + 184
    assert down.tls_bytes == down.handshake_bytes + 5 * 22
    assert down.application_bytes == 183
    assert down.http2_bytes == 33 + 22 + 93 + 9 + 9
    for side in (up, down):
        assert side.tls_uncertainty_bytes == 0
        assert side.http2_uncertainty_bytes > 0


def test_later_streams():
    talk = Talk()
    talk.handshake()
    talk.say(True, 26)
    talk.say(False, 110)
    talk.say(True, 26)
    talk.say(False, 26)
    for _ in range(10):
        talk.say(True, 91)  # CONNECT: 74 with its frame header
        talk.say(False, 28)
        talk.say(True, 143)
        talk.say(False, 209, 26)
        talk.say(True, 26)
    up, down = talk.meter.result(True), talk.meter.result(False)
    assert up.application_bytes == 10 * 117
    assert up.http2_bytes == 24 + 238 + 9 + 9 + 10 * (74 + 9 + 9)
    assert down.application_bytes == 10 * 183
    assert down.http2_bytes == 33 + 22 + 93 + 9 + 10 * (11 + 9 + 9)


def test_a_handshake_in_many_records():
    """OpenSSL writes each message in a record of its own."""
    talk = Talk()
    talk.say(True, 229, kind=22)
    talk.say(False, 122, kind=22)
    talk.say(False, 1, kind=20)
    talk.say(False, 32, 62, 739, 96, 69)
    talk.say(True, 1, kind=20)
    talk.say(True, 740, 95, 69)
    talk.say(False, 634, 634)
    talk.say(True, 99, 221)
    talk.say(False, 75)
    up, down = talk.meter.result(True), talk.meter.result(False)
    assert up.handshake_bytes == 234 + 6 + 745 + 100 + 74
    assert down.handshake_bytes == 127 + 6 + (37 + 67 + 744 + 101 + 74) + 2 * 639
    assert (up.records, down.records) == (2, 1)


def test_what_cannot_be_seen_is_estimated_and_says_so():
    talk = Talk()
    talk.handshake()
    for _ in range(20):
        talk.say(True, 143)
    seen = talk.meter.result(True)
    hidden = record(143) * 4
    talk.meter.update(True, talk.next[True] + 100_000, b"", len(hidden))
    found = talk.meter.result(True)
    assert found.tls_bytes > seen.tls_bytes
    assert found.tls_uncertainty_bytes == found.tls_bytes - seen.tls_bytes
    assert found.application_bytes > seen.application_bytes


def opened(path, keys):
    """Return (HTTP/2 octets but for DATA payload, DATA payload) by direction, as tshark sees it."""
    done = subprocess.run(
        ["tshark", "-r", str(path), "-o", f"tls.keylog_file:{keys}", "-d", "tcp.port==15008,tls",
         "-Y", "http2 && !tcp.analysis.retransmission", "-T", "fields",
         *(word for field in ("ip.src", "tcp.srcport", "ip.dst", "tcp.dstport", "http2.type",
                              "http2.length", "http2.magic") for word in ("-e", field))],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = defaultdict(lambda: [0, 0])
    for line in done.stdout.splitlines():
        *ends, kinds, lengths, magic = line.split("\t")
        totals = found[tuple(ends)]
        totals[0] += 24 if magic else 0
        numbers = [int(each) for each in lengths.split(",") if each]
        for kind, length in zip((k for k in kinds.split(",") if k), numbers, strict=False):
            totals[0] += 9 + (0 if kind == "0" else length)
            totals[1] += length if kind == "0" else 0
    return found


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_the_estimate_is_as_good_as_it_says(samples):
    """A whole connection of the real ztunnel, opened with its keys."""
    folder = samples / "ztunnel-in-pod"
    path, keys = folder / "cli2.pcapng", folder / "sslkeylog.txt"
    inputs = Inputs([CaptureSpec.parse(str(path))], DecodeSettings(), Selector(), pytest.fail, None)
    counter = OverheadCounter(inputs.points, DecodeSettings(), RunCounts(inputs))
    read_into(inputs, counter.update)
    truth = opened(path, keys)
    compared = 0
    for (_, leg), meter in counter.meters.items():
        client = (address_text(4, 0, leg.source_lo), str(leg.source_port))
        server = (address_text(4, 0, leg.destination_lo), str(leg.destination_port))
        for from_client, ends in ((True, client + server), (False, server + client)):
            if ends not in truth:
                continue
            http2, data = truth[ends]
            found = meter.result(from_client)
            assert abs(found.http2_bytes - http2) <= found.http2_uncertainty_bytes
            assert abs(found.http2_bytes - http2) <= 0.2 * http2
            assert abs(found.application_bytes - data) <= 0.2 * data
            compared += 1
    assert compared == 2
