# SPDX-License-Identifier: Apache-2.0
"""The tables themselves: complete, without overlap, with provenance, documented, lazy."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from genevecap.decode.option_kinds import EXPERIMENTAL_CLASS, KNOWN_CRITICAL, OPTION_CRITICAL
from genevecap.decode.options import class_name, is_known, option_name
from genevecap.decode.options.layout import MAX_DATA_BYTES, REST
from genevecap.decode.options.registry import class_ranges, layouts

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "protocols" / "geneve-options.md"


def label(layout):
    return f"{layout.option_class:#06x}-{layout.option_type:#04x}-{layout.data_bytes.start}"


each_layout = pytest.mark.parametrize("layout", layouts(), ids=label)


def test_class_ranges_cover_every_value_once():
    ranges = class_ranges()
    assert ranges[0].low == 0
    assert ranges[-1].high == 0xFFFF
    for before, after in pairwise(ranges):
        assert before.low <= before.high
        assert after.low == before.high + 1


def test_every_class_has_a_name():
    names = [class_name(option_class) for option_class in range(0x10000)]
    assert all(name and name == name.strip() for name in names)
    assert len(set(names)) == 35


def test_class_names_at_the_ends_of_ranges():
    unassigned = "Unassigned (First Come First Served)"
    for option_class, name in {
        0x0000: "Unassigned (IETF Review)",
        0x00FF: "Unassigned (IETF Review)",
        0x0100: "Linux",
        0x0101: "Open vSwitch (OVS)",
        0x0102: "Open Virtual Networking (OVN)",
        0x0103: "In-band Network Telemetry (INT)",
        0x0104: "VMware, Inc.",
        0x0105: "Amazon.com, Inc.",
        0x0106: "Cisco Systems, Inc.",
        0x0107: "Oracle Corporation",
        0x0108: "Amazon.com, Inc.",
        0x0110: "Amazon.com, Inc.",
        0x0111: "IBM",
        0x0118: "IBM",
        0x0119: "Ericsson",
        0x0128: "Ericsson",
        0x0129: "Oxide Computer Company",
        0x012A: unassigned,
        0x012F: unassigned,
        0x0130: "Cisco Systems, Inc.",
        0x0132: "Google LLC",
        0x0135: "Google LLC",
        0x014B: "Cilium",
        0x0164: "cPacket Networks",
        0x0165: "Tencent",
        0x0167: "Tencent",
        0x0170: "7Generation",
        0x0171: unassigned,
        0xFEFF: unassigned,
        0xFF00: "Experimental Use",
        0xFFF0: "Experimental Use",
        0xFFFF: "Experimental Use",
    }.items():
        assert class_name(option_class) == name, f"{option_class:#06x}"


@pytest.mark.parametrize("option_class", [-1, 0x10000])
def test_class_outside_16_bits_is_refused(option_class):
    with pytest.raises(ValueError, match="not a 16-bit number"):
        class_name(option_class)


def test_every_class_row_says_where_it_comes_from():
    assert all(row.source.strip() for row in class_ranges())


@each_layout
def test_layout_is_consistent(layout):
    assert layout.name
    assert layout.owner
    assert layout.source
    assert 0 <= layout.option_type <= 0xFF
    assert not class_name(layout.option_class).startswith("Unassigned")
    lengths = layout.data_bytes
    assert lengths.step == 1
    assert 0 <= lengths.start < lengths.stop <= MAX_DATA_BYTES + 1
    names = [field.name for field in layout.fields]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)
    widths = [field.bits for field in layout.fields]
    if widths[-1:] == [REST]:
        fixed = sum(widths[:-1])
        assert fixed % 8 == 0
        assert 8 * lengths.start >= fixed
    else:
        assert list(lengths) == [sum(widths) / 8]


def test_layouts_do_not_clash():
    claims = [
        (layout.option_class, layout.option_type, length)
        for layout in layouts()
        for length in layout.data_bytes
    ]
    assert len(set(claims)) == len(claims)


def test_every_vendor_file_is_found():
    folder = ROOT / "genevecap" / "decode" / "options" / "vendors"
    files = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len({layout.owner for layout in layouts()}) == len(files)


@pytest.mark.parametrize(
    ("option_class", "option_type", "data_bytes", "name"),
    [
        (0x0102, 0x80, 4, "OVN logical ports"),
        (0x014B, 0x81, 8, "Cilium DSR service (IPv4)"),
        (0x014B, 0x81, 20, "Cilium DSR service (IPv6)"),
        (0x0129, 0x00, 0, "Oxide option 0x00 (no data)"),
        (0x0104, 0x80, 4, "Antrea Traceflow data-plane tag"),
        (0x0132, 0x02, 16, "Google Cloud endpoint ID"),
    ],
)
def test_known_options(option_class, option_type, data_bytes, name):
    assert option_name(option_class, option_type, data_bytes) == name
    assert is_known(option_class, option_type, data_bytes)


@pytest.mark.parametrize(
    ("option_class", "option_type", "data_bytes"),
    [
        (0x0102, 0x00, 4),  # without the critical bit it is another option
        (0x0102, 0x80, 8),  # a length that OVN does not send
        (0x014B, 0x81, 12),  # neither of the two
        (0x014B, 0x01, 8),
        (0x0129, 0x00, 4),
        (0x0103, 0x01, 8),  # shorter than the header of INT-MD
        (0xFFFF, 0x80, 4),
        (0x10102, 0x80, 4),
    ],
)
def test_unknown_options(option_class, option_type, data_bytes):
    assert option_name(option_class, option_type, data_bytes) is None
    assert not is_known(option_class, option_type, data_bytes)


@each_layout
def test_layout_is_documented(layout):
    low, high = layout.data_bytes.start, layout.data_bytes.stop - 1
    length = str(low) if low == high else f"{low}-{high}"
    cells = [f"0x{layout.option_class:04X}", f"0x{layout.option_type:02X}", length, layout.name]
    rows = [
        line
        for line in PAGE.read_text("utf-8").splitlines()
        if [cell.strip() for cell in line.strip("| ").split("|")][:4] == cells
    ]
    assert len(rows) == 1, f"no row that begins with {' | '.join(cells)}"
    described = rows[0].split("|")[5]
    wanted = [
        (field.name, "rest" if field.bits is REST else str(field.bits)) for field in layout.fields
    ]
    assert re.findall(r"`(\w+)` (\w+)", described) == wanted


def test_page_lists_nothing_else():
    row = re.compile(r"^\| 0x[0-9A-F]{4} \| 0x[0-9A-F]{2} \|", re.MULTILINE)
    assert len(row.findall(PAGE.read_text("utf-8"))) == len(layouts())


def test_import_reads_no_table():
    """A run that meets no option pays neither for the tables nor for what reads them."""
    code = (
        "import sys, genevecap.decode.options\n"
        "assert 'importlib.resources' not in sys.modules\n"
        "assert 'genevecap.decode.options.vendors' not in sys.modules\n"
        "assert 'genevecap.decode.options.layout' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)  # fails by its exit code


def test_decoders_know_the_critical_options_that_have_a_layout():
    critical = {
        layout.option_class << 8 | layout.option_type
        for layout in layouts()
        if layout.option_type & OPTION_CRITICAL
    }
    assert critical == set(KNOWN_CRITICAL)
    assert class_name(EXPERIMENTAL_CLASS) == "Experimental Use"
    assert class_name(EXPERIMENTAL_CLASS - 1) != "Experimental Use"
