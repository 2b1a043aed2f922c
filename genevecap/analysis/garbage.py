# SPDX-License-Identifier: Apache-2.0
"""Building many objects that are all kept, without looking for garbage in them meanwhile.

Python's collector goes through all objects again and again while their number grows: with the
connections of ten thousand sessions that is a third of the time.  What is made here is freed by its
reference counts.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collected_later() -> Iterator[None]:
    """Keep Python's collector of cyclic garbage from running, where it was running before."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
