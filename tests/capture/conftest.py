# SPDX-License-Identifier: Apache-2.0
"""Both record walks, for every test that asks for one."""

from __future__ import annotations

from functools import partial

import pytest

from .reading import WALKS, read


@pytest.fixture(params=["readable", "compiled"])
def walk(request):
    """The readable record walk, then the compiled one."""
    if request.param not in WALKS:
        pytest.skip("the compiled record walk was not built")
    return WALKS[request.param]


@pytest.fixture
def read_octets(walk):
    """`reading.read` with this walk."""
    return partial(read, walk=walk)
