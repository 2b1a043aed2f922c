# SPDX-License-Identifier: Apache-2.0
"""Which records carry which octets, and what becomes of stays that are not clear."""

from __future__ import annotations

from array import array

import numpy as np
import pytest

from genevecap.analysis.connections import Endpoint, Half
from genevecap.analysis.hbone import ConnectionId, DataPiece, StreamId
from genevecap.analysis.linking.events import Message, RecordColumns
from genevecap.analysis.results import FrameRef
from genevecap.analysis.sessions.data_frames import DataFrames
from genevecap.analysis.sessions.octets import Octets
from genevecap.analysis.sessions.passages import Carried, Walk, least_frames
from genevecap.analysis.sessions.stays import Stay, Stays

NOBODY = Endpoint(4, 0, 0, 0)


class Clock:
    """Views of one host."""

    def corrected(self, _point, times):
        return times


def octets(*segments):
    """Octets of segments (begin, end, time)."""
    half = Half(0, 0, 0, True, NOBODY, NOBODY, 1, 0)
    half.events = array("q", [n for begin, end, time in segments for n in (begin, end, time, 1)])
    return Octets(half, Clock())


class Linked:
    """Links as a walk asks for them: records (HBONE connection, length, left, came)."""

    def __init__(self, records, turns):
        hbone, length, left, came = np.array(records, np.int64).reshape(-1, 4).T
        self._hbone, self._turns = hbone, turns
        self._columns = RecordColumns(
            length=length,
            client_first_ns=left,
            client_last_ns=left,
            server_first_ns=came,
            server_last_ns=came,
        )

    def columns(self, *, upward):
        assert upward
        return self._columns

    def owners(self, *, upward):
        assert upward
        return self._hbone

    def records_by_turn(self, _kind, outbound, _inbound, _hbone):
        return self._turns[outbound]


def carried(number, messages, sender=None, receiver=None):
    return Carried(
        hbone=0,
        outbound=number,
        inbound=number,
        messages=[
            Message(offset=offset, time_ns=0, first_bytes=1, bytes=size)
            for offset, size in messages
        ],
        sender=sender,
        receiver=receiver,
    )


def walk(records, turns, *sessions):
    found = Walk(Linked(records, turns), upward=True).passages(sessions)
    return [[(p.end, p.client_ns, p.server_ns, p.share) for p in own] for own in found]


# --- octets ---


def test_an_octet_has_come_when_those_before_it_have():
    seen = octets((0, 10, 5), (20, 30, 7), (10, 20, 9))
    assert [seen.left(n) for n in (1, 10, 11, 20, 21, 30)] == [5, 5, 9, 9, 7, 7]
    assert [seen.came(n) for n in (1, 10, 11, 20, 21, 30)] == [5, 5, 9, 9, 9, 9]


def test_octets_that_were_not_kept_have_no_time():
    seen = octets((0, 10, 5), (50, 60, 7))
    assert [seen.left(n) for n in (10, 11, 50, 51, 60, 61)] == [5, None, None, 7, 7, None]
    assert Octets(None, Clock()).came(1) is None


# --- passages ---


def test_a_message_goes_on_in_the_records_behind_its_first():
    records = [(0, 126, 1, 11), (0, 34, 2, 12), (0, 76, 3, 13), (0, 126, 4, 14)]
    assert walk(records, {0: {0: {0: 1.0}}}, carried(0, [(0, 150)])) == [
        [(100, 1, 11, 1.0), (150, 3, 13, 1.0)]
    ]


def test_the_end_of_a_message_may_be_gathered_with_its_end_of_stream():
    records = [(0, 126, 1, 11), (0, 50 + 26 + 9, 3, 13)]
    assert walk(records, {0: {0: {0: 1.0}}}, carried(0, [(0, 150)]))[0][-1] == (150, 3, 13, 1.0)
    # In a record where it was matched it may be gathered with anything.
    assert walk([(0, 900, 1, 11)], {0: {0: {0: 1.0}}}, carried(0, [(0, 150)])) == [
        [(150, 1, 11, 1.0)]
    ]


def test_two_messages_whose_records_are_mixed():
    """Both have records of one length; what comes in is written out at once, so times tell."""
    order = [0, 1, 1, 0, 1, 0, 0, 1]
    records = [(0, 126, 10 + n, 100 + 10 * n) for n in range(8)]
    begins = {0: {0: {0: 1.0}}, 1: {0: {1: 1.0}}}
    sessions, wanted = [], []
    for number in (0, 1):
        own = [n for n in range(8) if order[n] == number]
        writes = [(100 * i, 100 * i + 100, 101 + 10 * n) for i, n in enumerate(own)]
        sessions.append(carried(number, [(0, 400)], octets((0, 400, 5)), octets(*writes)))
        wanted.append([(100 * i + 100, 10 + n, 100 + 10 * n, 1.0) for i, n in enumerate(own)])
    assert walk(records, begins, *sessions) == wanted


def test_a_record_that_left_before_the_octets_came_is_not_theirs():
    records = [(0, 126, 10, 20), (0, 126, 12, 22), (0, 126, 31, 41)]
    sender = octets((0, 100, 9), (100, 200, 30))
    assert walk(records, {0: {0: {0: 1.0}}}, carried(0, [(0, 200)], sender)) == [
        [(100, 10, 20, 1.0), (200, 31, 41, 1.0)]
    ]


def test_records_of_another_connection_end_a_message():
    records = [(0, 126, 1, 11), (1, 126, 2, 12)]
    assert walk(records, {0: {0: {0: 1.0}}}, carried(0, [(0, 200)])) == [[(100, 1, 11, 1.0)]]


def test_what_is_not_clear_may_be_in_any():
    records = [(0, 126, 1, 11), (0, 126, 2, 12)]
    found = walk(records, {0: {0: {0: 0.6, 1: 0.4}}}, carried(0, [(0, 100)]))
    assert found == [[(100, 1, 11, 0.6), (100, 2, 12, 0.4)]]


def test_without_records_nothing_passed():
    assert walk([], {0: {}}, carried(0, [(0, 100)])) == [[]]


@pytest.mark.parametrize(
    ("offset", "size", "frames"),
    [(0, 0, 0), (0, 1, 1), (0, 1025, 2), (0, 131072 + 16320, 129), (131072, 16321, 2)],
)
def test_how_many_frames_there_are_at_least(offset, size, frames):
    message = Message(offset=offset, time_ns=0, first_bytes=1, bytes=size)
    assert least_frames(message) == frames


def test_data_frames_are_kept_up_to_a_limit():
    connection = ConnectionId(client="", server="", client_isn=1, syn_ns=0, client_random=b"")
    stream = StreamId(connection=connection, stream=1)
    frames = DataFrames(most=2)
    for number in range(3):
        piece = DataPiece(
            stream=stream,
            upward=True,
            offset=10 * number,
            payload=b"x" * 10,
            record_offset=41 * number,
            time_ns=0,
            frame=FrameRef(capture="", frame=1),
        )
        frames.take(piece)
    assert frames.of(stream, upward=True).tolist() == [[10, 0], [20, 41]]
    assert frames.of(stream, upward=False).shape == (0, 2)


# --- stays ---


def test_clear_stays_have_the_quantiles_of_their_order():
    stays = Stays([Stay(n, n, 10 * n, 1.0) for n in range(1, 102)])
    assert (stays.least_ns, stays.quantile(0.5), stays.most_ns) == (10, 510, 1010)
    assert stays.quantile(0.99) == 1000
    assert stays.uncertainty_ns() == 100  # ten of them on either side
    assert stays.times().ns.tolist() == [10 * n for n in range(1, 102)]


def test_each_time_counts_by_its_probability():
    # Half of it was short, half long; what is clear is all long.
    unclear = [Stay(n, n, ns, 0.5) for n in range(10) for ns in (1, 100)]
    clear = [Stay(20 + n, 20 + n, 100, 1.0) for n in range(4)]
    stays = Stays([*unclear, *clear])
    assert len(stays) == 14
    assert stays.quantile(0.3) == 1
    assert stays.quantile(0.5) == 100
    assert stays.uncertainty_ns() == 99 // 2 + 99  # all of them may have been short


def test_what_is_missing_makes_the_median_less_sure():
    stays = Stays([Stay(n, n, n, 1.0) for n in range(1, 10_002)])
    alone = stays.uncertainty_ns()
    assert alone == 99
    assert stays.uncertainty_ns(1000) == alone + 500
    assert stays.uncertainty_ns(10_001) == alone + 5000
    assert stays.uncertainty_ns(10_002) is None
