# SPDX-License-Identifier: Apache-2.0
"""Many events: what is learnt of some does for all, compiled or not."""

from __future__ import annotations

import numpy as np
import pytest

from genevecap.analysis.linking import many
from genevecap.analysis.linking.events import EventTable, Kind
from genevecap.analysis.linking.frames import Frames
from genevecap.analysis.linking.many import MOST_LEARNT, matched
from genevecap.analysis.linking.matching import balance
from genevecap.analysis.linking.pairing import Pairing, Sizes
from genevecap.decode import decoder_name

KINDS = (Kind.OPEN, Kind.RESPONSE, Kind.CLOSE_UP)


class Traffic:
    """Events of two addresses, their records, and some records of nothing."""

    def __init__(self, rng, count, kind):
        self.event_ns = np.sort(rng.integers(0, count * 4_000_000, count))
        sizes = rng.choice([183, 164, 777, 1500, 40_000], count)
        others = count // 4
        time_ns = self.event_ns + 150_000 + rng.exponential(60_000, count).astype(np.int64)
        noise_ns = rng.integers(0, count * 4_000_000, others)
        record_ns = np.concatenate((time_ns, noise_ns))
        whole = np.minimum(sizes, 1024) + 26
        length = {Kind.OPEN: 91, Kind.CLOSE_UP: 26}.get(kind, whole)
        length = np.concatenate((np.broadcast_to(length, count), rng.choice([26, 91, 209], others)))
        address = rng.integers(0, 2, count)
        of_record = np.concatenate((address, rng.integers(0, 2, others)))
        shuffled = rng.permutation(count + others)
        self.truth = np.argsort(shuffled)[:count]
        self.record_ns, length = record_ns[shuffled], length[shuffled]
        table = EventTable(
            leg=np.arange(count),
            turn=np.zeros(count, np.int64),
            time_ns=self.event_ns,
            sizes=np.stack((np.minimum(sizes, 1400), sizes), axis=1),
        )
        self.sizes = Sizes.of(kind, table, length, Frames([183, 164, 1024], upward=False))
        self.pairing = Pairing(
            (address, self.event_ns),
            (of_record[shuffled], self.record_ns),
            self.sizes,
            follows=True,
        )

    def matched(self):
        return matched(self.pairing, (self.event_ns, self.record_ns), self.sizes.capacity, None)


@pytest.mark.parametrize("kind", KINDS)
def test_what_some_teach_does_for_all(kind, monkeypatch):
    traffic = Traffic(np.random.default_rng(1), 3 * MOST_LEARNT, kind)
    rows, columns, belief = traffic.matched()
    assert np.bincount(rows, belief).max() <= 1 + 1e-9
    right = columns == traffic.truth[rows]
    monkeypatch.setattr(many, "MOST_LEARNT", 10 * MOST_LEARNT)
    all_rows, all_columns, all_belief = traffic.matched()
    all_right = all_columns == traffic.truth[all_rows]
    found, all_found = belief[right].sum(), all_belief[all_right].sum()
    assert found > 0.95 * len(traffic.truth)
    assert found == pytest.approx(all_found, rel=0.01)
    assert len(rows) < 0.7 * len(all_rows)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_fits_is_nothing(kind):
    traffic = Traffic(np.random.default_rng(2), 2 * MOST_LEARNT, kind)
    records = np.zeros(0, np.int64)
    sizes = Sizes.of(kind, EventTable(
        leg=records, turn=records, time_ns=records, sizes=np.zeros((0, 2), np.int64)
    ), records, Frames([], upward=False))  # fmt: skip
    where = np.zeros(len(traffic.event_ns), np.int64), traffic.event_ns
    pairing = Pairing(where, (records, records), sizes, follows=True)
    found = matched(pairing, (traffic.event_ns, records), sizes.capacity, None)
    assert [len(column) for column in found] == [0, 0, 0]


@pytest.mark.skipif(decoder_name() != "compiled", reason="kernels were not built")
@pytest.mark.parametrize("kind", KINDS)
def test_the_compiled_pairs_are_the_readable_ones(kind, monkeypatch):
    traffic = Traffic(np.random.default_rng(3), 500, kind)
    compiled = traffic.pairing.all()
    monkeypatch.setenv("GENEVECAP_DISABLE_KERNELS", "1")
    readable = traffic.pairing.all()
    assert len(readable[0]) > 500
    for one, other in zip(compiled, readable, strict=True):
        assert (one == other).all()


@pytest.mark.skipif(decoder_name() != "compiled", reason="kernels were not built")
@pytest.mark.parametrize("start", [None, np.linspace(0.5, 2, 40)])
def test_the_compiled_scaling_is_the_readable_one(start, monkeypatch):
    rng = np.random.default_rng(4)
    rows, columns = np.sort(rng.integers(0, 50, 300)), rng.integers(0, 40, 300)
    weights, room = rng.random(300), rng.integers(1, 4, 40)
    compiled = balance(rows, columns, weights, (50, 40), room, start=start)
    monkeypatch.setenv("GENEVECAP_DISABLE_KERNELS", "1")
    readable = balance(rows, columns, weights, (50, 40), room, start=start)
    for one, other in zip(compiled, readable, strict=True):
        assert (one == other).all()
