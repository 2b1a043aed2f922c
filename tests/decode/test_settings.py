# SPDX-License-Identifier: Apache-2.0
"""decode/settings: which UDP port means which tunnel."""

from __future__ import annotations

from genevecap.decode.layers import Layer
from genevecap.decode.settings import TENTATIVE, DecodeSettings


def test_defaults() -> None:
    table = DecodeSettings().udp_table()
    assert table[6081] == Layer.GENEVE
    assert table[4789] == table[8472] == Layer.VXLAN
    assert table[4790] == Layer.VXLAN_GPE
    assert all(table[port] == Layer.GENEVE | TENTATIVE for port in range(6082, 6090))
    assert table[6090] == table[53] == table[0] == 0


def test_what_the_user_says_wins() -> None:
    table = DecodeSettings(
        geneve_ports=(8472, 6085), vxlan_ports=(6081,), vxlan_gpe_ports=(4789,)
    ).udp_table()
    assert table[8472] == table[6085] == Layer.GENEVE
    assert table[6081] == Layer.VXLAN
    assert table[4789] == Layer.VXLAN_GPE
