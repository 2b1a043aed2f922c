# SPDX-License-Identifier: Apache-2.0
"""analysis/replays: numbers that come again; compiled and readable alike."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genevecap.analysis import readable_replays as module
from genevecap.analysis.readable_replays import ReadableReplays
from genevecap.analysis.replays import WINDOW, make_replays
from genevecap.analysis.summary import inspect
from genevecap.analysis.tables import FIRST_FRAMES
from genevecap.capture.linktypes import LINUX_SLL
from genevecap.capture.spec import CaptureSpec
from genevecap.columns import Stop
from genevecap.decode.layers import Layer
from tests.build import packets as p
from tests.build.captures import LITTLE, pcap
from tests.properties.decoders import batch_of, decode_all, readable_decoder

ETHERNET = 1


def esp(number, *, spi=5, source="10.0.0.1", destination="10.0.0.2", mac=p.MAC_A):
    payload = spi.to_bytes(4, "big") + number.to_bytes(4, "big") + bytes(24)
    return p.ethernet(p.ipv4(payload, 50, source, destination), source=mac)


def wireguard(number, *, index=7, source="10.0.0.1"):
    message = b"\x04\0\0\0" + index.to_bytes(4, "little") + number.to_bytes(8, "little") + bytes(16)
    return p.ethernet(p.ipv4(p.udp(message, 51820, 51820), 17, source, "10.0.0.2"))


def macsec(number, *, channel=None, association=0):
    flags = 0x0C | association | (0 if channel is None else 0x20)
    tag = bytes((flags, 0)) + number.to_bytes(4, "big")
    tag += b"" if channel is None else channel.to_bytes(8, "big")
    return p.ethernet(tag + bytes(40), 0x88E5)


def implementations():
    compiled = make_replays()
    return [ReadableReplays()] if isinstance(compiled, ReadableReplays) else [
        ReadableReplays(), compiled
    ]  # fmt: skip


def repeated(*frames, link=ETHERNET):
    """Return what every implementation finds in these frames, after comparing them."""
    batch = batch_of([(link, octets, len(octets)) for octets in frames])
    answers = []
    for each in implementations():
        for decoded in decode_all(readable_decoder(), batch):
            hidden = [
                i
                for i in range(decoded.count)
                if decoded.stop[i] == Stop.COMPLETE and decoded.stop_layer[i]
            ]
            each.update(batch, decoded, array("q", hidden), 3)
        answers.append(each.repeated())
    assert all(answer == answers[0] for answer in answers)
    return [
        (found.layer, found.packets, [frame for _, frame in found.frames]) for found in answers[0]
    ]


MAKERS = {Layer.ESP: esp, Layer.WIREGUARD: wireguard, Layer.MACSEC: macsec}


@pytest.mark.parametrize(("layer", "make"), MAKERS.items())
def test_a_number_that_comes_again(layer, make):
    assert repeated(make(1), make(2), make(3)) == []
    assert repeated(make(1), make(2), make(1), make(3), make(3)) == [(layer, 2, [3, 5])]
    assert repeated(*[make(1)] * 20) == [(layer, 19, list(range(2, 2 + FIRST_FRAMES)))]


@pytest.mark.parametrize("make", MAKERS.values())
def test_packets_may_overtake_each_other(make):
    assert repeated(*map(make, (5, 3, 4, 1, 2, 9, 8, 6, 7))) == []


@pytest.mark.parametrize("make", MAKERS.values())
def test_the_window_is_as_long_as_it_is_said_to_be(make):
    within = [make(number) for number in (1, WINDOW, 1)]
    beyond = [make(number) for number in (1, WINDOW + 1, 1)]
    assert len(repeated(*within)) == 1
    assert repeated(*beyond) == []


def test_each_key_and_each_sender_counts_by_itself():
    assert repeated(esp(1), esp(1, spi=6), esp(1, source="10.0.0.3"), wireguard(1)) == []
    assert repeated(wireguard(1), wireguard(1, index=8), wireguard(1, source="10.0.0.3")) == []
    channels = [macsec(1), macsec(1, channel=1), macsec(1, channel=2), macsec(1, association=1)]
    assert repeated(*channels) == []


def test_a_router_that_sends_a_packet_back_is_not_its_sender():
    assert repeated(esp(1), esp(1, mac=p.MAC_B)) == []


def test_counting_anew_is_no_replay():
    assert repeated(*map(esp, (2**32 - 2, 2**32 - 1, 0, 1, 2))) == []


def test_an_interface_that_shows_packets_twice_is_left_out():
    cooked = p.sll(esp(1)[14:])
    assert repeated(cooked, cooked, link=LINUX_SLL) == []


def test_what_was_not_captured_says_nothing():
    cut = esp(1)[: 14 + 20 + 7]
    assert repeated(cut, cut) == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from((esp, wireguard, macsec)),
            st.one_of(
                st.integers(0, 8), st.integers(WINDOW - 3, WINDOW + 3), st.integers(0, 2**32 - 1)
            ),
        ),
        max_size=60,
    )
)
def test_both_find_the_same(drawn):
    repeated(*(make(number) for make, number in drawn))


def test_very_many_streams_are_forgotten_together(monkeypatch):
    """Only the readable one can be given a smaller bound; the compiled one has the same."""
    monkeypatch.setattr(module, "MOST_STREAMS", 4)
    replays = ReadableReplays()
    batch = batch_of([(ETHERNET, esp(1, spi=spi), 62) for spi in (1, 2, 3, 4, 1, 5, 1, 1)])
    for decoded in decode_all(readable_decoder(), batch):
        replays.update(batch, decoded, array("q", range(decoded.count)), 0)
    ((_, packets, frames),) = replays.repeated()
    assert (packets, frames) == (2, ((0, 5), (0, 8)))


@pytest.mark.long
def test_the_bound_is_the_same_compiled():
    frames = [esp(1, spi=spi) for spi in range(1, module.MOST_STREAMS + 2)]
    assert repeated(*frames, esp(1, spi=1), esp(1, spi=1)) == [
        (Layer.ESP, 1, [module.MOST_STREAMS + 3])
    ]


# --- in the summary ------------------------------------------------------------------------------


def test_the_finding(tmp_path):
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(esp(1), esp(2), esp(2), macsec(1), macsec(1)))
    found = {each.code: each for each in inspect([CaptureSpec.parse(str(path))]).findings}
    assert found["U06"].packets == 2
    assert found["U06"].details == ("esp: 1 packet", "macsec: 1 packet")
    assert [each.frame for each in found["U06"].frames] == [3, 5]


def test_two_points_see_the_same_packet(tmp_path):
    path = tmp_path / "a.pcapng"
    octets = LITTLE.section() + LITTLE.interface() + LITTLE.interface()
    octets += LITTLE.packet(esp(1)) + LITTLE.packet(esp(1), interface=1)
    path.write_bytes(octets)
    assert "U06" not in {each.code for each in inspect([CaptureSpec.parse(str(path))]).findings}
