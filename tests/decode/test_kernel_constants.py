# SPDX-License-Identifier: Apache-2.0
"""What kernels and Python share (numbers, columns) stands in two places; here it is held equal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from genevecap import columns
from genevecap.decode import layers, settings

PXD = Path(columns.__file__).parent / "decode" / "_kernel_state.pxd"
CONSTANTS = {
    name: int(value, 0)
    for name, value in re.findall(r"^    ([A-Z][A-Z0-9_]*) = (\w+)$", PXD.read_text(), re.MULTILINE)
}
OTHER_NAMES = {"NULL": "NULL_FAMILY"}


@pytest.mark.parametrize("layer", layers.Layer)
def test_layers(layer: layers.Layer) -> None:
    """A layer that kernels know has the registry's number; others they need not know."""
    name = OTHER_NAMES.get(layer.name, layer.name)
    assert CONSTANTS.get(name, layer) == layer


def test_everything_else() -> None:
    assert {stop.name: int(stop) for stop in columns.Stop}.items() <= CONSTANTS.items()
    kinds = {name[5:]: value for name, value in CONSTANTS.items() if name.startswith("KIND_")}
    assert kinds
    assert kinds.items() <= {kind.name: int(kind) for kind in columns.TunnelKind}.items()
    findings = {n: v for n, v in CONSTANTS.items() if re.fullmatch(r"[A-Z]\d\d", n)}
    assert findings
    assert findings.items() <= {str(bit.name): int(bit) for bit in columns.Finding}.items()
    assert CONSTANTS["MAX_TUNNELS"] == columns.MAX_TUNNELS
    assert CONSTANTS["MAX_LAYERS"] == columns.MAX_LAYERS
    assert CONSTANTS["TENTATIVE"] == settings.TENTATIVE
    for name in ("ETHERTYPE", "IP_PROTOCOL", "LINK_TYPE", "NEXT_PROTOCOL"):
        assert CONSTANTS[f"{name}_SPACE"] == getattr(layers, f"{name}_SPACE")


C_TYPES = {
    "B": "uint8_t", "H": "uint16_t", "I": "uint32_t", "i": "int32_t", "Q": "uint64_t",
    "q": "int64_t",
}  # fmt: skip
STRUCTS = dict(
    re.findall(
        r"^cdef struct (\w+):\n((?:    .*\n)+)",
        (Path(columns.__file__).parent / "_kernel_columns.pxd").read_text(),
        re.MULTILINE,
    )
)


@pytest.mark.parametrize(
    ("struct", "table"),
    [
        ("FrameColumns", columns.FrameBatch),
        ("DecodedColumns", columns.DecodedBatch),
        ("LayerColumns", columns.LayerTable),
        ("TunnelColumns", columns.TunnelTable),
        ("OptionColumns", columns.OptionTable),
    ],
)
def test_columns(struct: str, table: type[columns.Columns]) -> None:
    """Kernels find columns by their place in the schema."""
    declared = re.findall(r"^    (\w+) \*(\w+)$", STRUCTS[struct], re.MULTILINE)
    assert declared == [(C_TYPES[typecode], name) for name, typecode, _ in table.SCHEMA]
