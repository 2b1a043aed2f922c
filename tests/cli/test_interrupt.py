# SPDX-License-Identifier: Apache-2.0
"""cli/interrupt: an interrupt ends the reading, never the document."""

from __future__ import annotations

import signal
from collections.abc import Iterator

from genevecap.cli.interrupt import Interruptible


def test_rows_pass_unchanged() -> None:
    passed = Interruptible()
    assert list(passed.rows(iter(range(5)))) == [0, 1, 2, 3, 4]
    assert not passed.interrupted


def test_an_interrupt_between_rows_ends_after_the_one_being_written() -> None:
    passed, seen = Interruptible(), []
    for row in passed.rows(iter(range(5))):
        seen.append(row)
        if row == 2:
            signal.raise_signal(signal.SIGINT)
    assert seen == [0, 1, 2]
    assert passed.interrupted


def test_an_interrupt_while_waiting_ends_the_wait() -> None:
    def source() -> Iterator[int]:
        yield 1
        signal.raise_signal(signal.SIGINT)
        yield 2

    passed = Interruptible()
    assert list(passed.rows(source())) == [1]
    assert passed.interrupted


def test_the_handler_before_is_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    list(Interruptible().rows(iter([1])))
    assert signal.getsignal(signal.SIGINT) is before
