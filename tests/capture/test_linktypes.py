# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from genevecap.capture.linktypes import link_type_name


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (0, "NULL"),
        (1, "ETHERNET"),
        (101, "RAW"),
        (108, "LOOP"),
        (113, "LINUX_SLL"),
        (228, "IPV4"),
        (229, "IPV6"),
        (276, "LINUX_SLL2"),
        (9999, "linktype-9999"),
    ],
)
def test_names_of_link_types(number, name):
    assert link_type_name(number) == name
