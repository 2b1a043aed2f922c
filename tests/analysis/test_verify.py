# SPDX-License-Identifier: Apache-2.0
"""`verify`: what is compared, what is explained, and that a wrong decoder would be found out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import replace

import pytest
from click.testing import CliRunner

from genevecap.analysis import tshark
from genevecap.analysis.results import InnerRow, OptionRow, PacketRow, TunnelRow
from genevecap.analysis.verification import tshark as verify_tshark
from genevecap.analysis.verification import verify
from genevecap.analysis.verification.compare import FIELDS, compare, time_ns
from genevecap.analysis.verification.reading import IpReading, Reading, TunnelReading
from genevecap.capture.spec import CaptureSpec
from genevecap.cli.main import main
from genevecap.decode.settings import DecodeSettings
from genevecap.errors import GenevecapError, ToolMissing, UsageError

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not here")

TIME_NS = 1_700_000_000_000_000_001
LAYERS = ("ethernet", "ipv4", "udp", "geneve", "ethernet", "ipv4", "tcp")

ROW = PacketRow(
    capture="a.pcap",
    frame=7,
    point="a",
    time_ns=TIME_NS,
    captured_bytes=120,
    wire_bytes=130,
    layers=LAYERS,
    tunnels=(
        TunnelRow(
            kind="geneve",
            vni=10,
            source="192.0.2.1",
            destination="192.0.2.2",
            source_port=4000,
            destination_port=6081,
            overhead_bytes=58,
            options=(
                OptionRow(option_class=258, option_type=128, critical=True, data=b"\0\1\0\2"),
            ),
            flags=(("version", 0), ("oam", False), ("critical", True), ("protocol", 0x6558)),
        ),
    ),
    inner=InnerRow(
        source="10.0.0.1", destination="10.0.0.2", protocol="tcp", source_port=1, destination_port=2
    ),
    stop="complete",
    stop_layer=None,
)

OUTER = IpReading(
    source="192.0.2.1",
    destination="192.0.2.2",
    protocol="udp",
    offset=14,
    fragment=False,
    zero_length=False,
    source_port=4000,
    destination_port=6081,
)
INNER = IpReading(
    source="10.0.0.1",
    destination="10.0.0.2",
    protocol="tcp",
    offset=72,
    fragment=False,
    zero_length=False,
    source_port=1,
    destination_port=2,
)
TUNNEL = TunnelReading(
    kind="geneve",
    vni=10,
    carrier=OUTER,
    options=((258, 128, "00010002"),),
    flags={"oam": False, "critical": True, "protocol": 0x6558},
    overhead_bytes=58,
)
READING = Reading(
    frame=7,
    time="1700000000.000000001",
    wire_bytes=130,
    captured_bytes=120,
    layers=LAYERS,
    ips=(OUTER, INNER),
    tunnels=(TUNNEL,),
    zero_udp_length=False,
    is_packet=True,
)


def differing(row: PacketRow, reading: Reading) -> dict[str, bool]:
    """Return the fields that differ, and whether the difference is explained."""
    return {c.field: c.explanation is not None for c in compare(row, reading) if not c.agrees}


# --- comparing ---------------------------------------------------------------------------------


def test_every_field_is_compared():
    comparisons = list(compare(ROW, READING))
    assert [comparison.field for comparison in comparisons] == list(FIELDS)
    assert all(comparison.agrees for comparison in comparisons)


@pytest.mark.parametrize(
    ("field", "reading"),
    [
        ("time", replace(READING, time="1700000000.000000002")),
        ("captured_bytes", replace(READING, captured_bytes=119)),
        ("wire_bytes", replace(READING, wire_bytes=131)),
        ("layers", replace(READING, layers=(*LAYERS[:-1], "udp"))),
        ("vni", replace(READING, tunnels=(replace(TUNNEL, vni=11),))),
        (
            "endpoints",
            replace(READING, tunnels=(replace(TUNNEL, carrier=replace(OUTER, source_port=4001)),)),
        ),
        ("flags", replace(READING, tunnels=(replace(TUNNEL, flags={"critical": False}),))),
        ("options", replace(READING, tunnels=(replace(TUNNEL, options=()),))),
        (
            "options",
            replace(READING, tunnels=(replace(TUNNEL, options=((258, 128, "00010003"),)),)),
        ),
        ("overhead_bytes", replace(READING, tunnels=(replace(TUNNEL, overhead_bytes=54),))),
        ("inner_addresses", replace(READING, ips=(OUTER, replace(INNER, source="10.0.0.9")))),
        ("inner_protocol", replace(READING, ips=(OUTER, replace(INNER, protocol="udp")))),
        ("inner_ports", replace(READING, ips=(OUTER, replace(INNER, source_port=None)))),
    ],
)
def test_a_difference_is_found_and_not_explained(field: str, reading: Reading):
    assert differing(ROW, reading) == {field: False}


def test_another_kind_of_tunnel():
    assert differing(ROW, replace(READING, tunnels=(replace(TUNNEL, kind="vxlan"),))) == {
        "tunnels": False
    }
    assert differing(replace(ROW, tunnels=()), READING) == {"tunnels": False}


def test_missing_inner_header():
    assert "inner_addresses" in differing(ROW, replace(READING, ips=(OUTER,)))


# --- down to the stop --------------------------------------------------------------------------


def test_an_unsupported_layer_is_not_compared_nor_what_it_carries():
    row = replace(
        ROW,
        layers=("ethernet", "ipv4", "ipv6"),
        tunnels=(),
        inner=replace(ROW.inner, protocol="ipv6", source_port=None, destination_port=None),
        stop="unsupported",
        stop_layer="ipv6",
    )
    reading = replace(
        READING,
        layers=("ethernet", "ipv4", "ipv6", "tcp"),
        ips=(replace(INNER, protocol="ipv6"), replace(INNER, source="::1")),
        tunnels=(),
    )
    assert differing(row, reading) == {}
    assert "layers" in differing(row, replace(reading, layers=("ethernet", "ipv6", "tcp")))


def test_a_cut_header_may_be_listed_by_tshark():
    row = replace(
        ROW,
        layers=LAYERS[:-1],
        stop="truncated",
        stop_layer="tcp",
        inner=replace(ROW.inner, source_port=None, destination_port=None),
    )
    assert differing(row, READING) == {}


def test_a_fragment_is_described_by_its_own_header():
    row = replace(
        ROW,
        tunnels=(),
        stop="fragment",
        stop_layer="tcp",
        inner=InnerRow(
            source="192.0.2.1",
            destination="192.0.2.2",
            protocol="udp",
            source_port=None,
            destination_port=None,
        ),
    )
    reading = replace(READING, ips=(replace(OUTER, fragment=True), INNER))
    assert differing(row, reading) == {}


# --- explanations ------------------------------------------------------------------------------


def test_a_length_of_zero_is_explained():
    stopped = replace(READING, layers=LAYERS[:3], ips=(OUTER,), tunnels=(), zero_udp_length=True)
    assert differing(ROW, stopped) == {"layers": True, "tunnels": True, "inner_addresses": True}
    assert differing(ROW, replace(stopped, zero_udp_length=False))["layers"] is False


def test_a_tunnel_at_the_source_port_is_explained():
    row = replace(ROW, layers=LAYERS[:3], tunnels=(), inner=replace(ROW.inner, source_port=6081))
    found = differing(row, READING)
    assert found["layers"] is True
    assert found["tunnels"] is True


def test_a_pseudowire_is_explained():
    row = replace(ROW, layers=("ethernet", "mpls", "ethernet", "ipv4"), tunnels=(), inner=None)
    assert differing(row, replace(READING, layers=("ethernet", "mpls"), tunnels=())) == {
        "layers": True
    }


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (None, "0.000000000"),
        (TIME_NS, "-1.000000000"),
        (1_418_147_517_483_648_000, "1418145370.000000000"),
    ],
)
def test_odd_times_are_explained(ours: int | None, theirs: str):
    assert differing(replace(ROW, time_ns=ours), replace(READING, time=theirs)) == {"time": True}


def test_a_length_beyond_31_bits_is_explained():
    row = replace(ROW, wire_bytes=2**32 - 1)
    assert differing(row, replace(READING, wire_bytes=2**31 - 1)) == {"wire_bytes": True}


def test_a_pseudo_header_is_explained():
    row = replace(
        ROW,
        layers=("linktype-123",),
        tunnels=(),
        inner=None,
        stop="unsupported",
        stop_layer="linktype-123",
    )
    assert differing(row, replace(READING, captured_bytes=116)) == {"captured_bytes": True}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("1.000000001", 1_000_000_001),
        ("1.5", 1_500_000_000),
        ("1.1500000000", 2_500_000_000),
        ("-1.500000000", -1_500_000_000),
        ("9223372036.854775808", None),
        ("soon", None),
    ],
)
def test_times_are_read_without_floats(text: str, expected: int | None):
    assert time_ns(text) == expected


# --- running tshark ----------------------------------------------------------------------------


def verification(path, **settings) -> verify.Verification:
    return verify.Verification(
        [CaptureSpec.parse(str(path))], settings=DecodeSettings(**settings), on_problem=print
    )


@needs_tshark
@pytest.mark.parametrize(
    "name",
    ["geneve-ovs.pcapng", "geneve-short.pcap.gz", "vxlan-any-sll2.pcap", "vxlan-kernel.pcapng"],
)
def test_the_samples_agree(samples, name):
    checked = verification(samples / name)
    assert [d for d in checked.differences() if d.explanation is None] == []
    (capture,) = checked.captures
    assert capture.frames > 90
    assert {field.field for field in capture.fields} >= {"layers", "vni", "inner_addresses"}


@needs_tshark
def test_a_wrong_decoder_is_found_out(samples, monkeypatch):
    def wrong(*args, **kwargs):
        for row in right(*args, **kwargs):
            tunnels = tuple(replace(t, vni=t.vni ^ 1) for t in row.tunnels)
            yield replace(row, tunnels=tunnels)

    right = verify.packets
    monkeypatch.setattr(verify, "packets", wrong)
    result = CliRunner().invoke(main, ["verify", str(samples / "geneve-ovs.pcapng")])
    assert result.exit_code == 1
    assert "frame.number == " in result.stdout
    assert "unexplained difference" in result.stdout


@needs_tshark
def test_frames_that_one_of_both_lacks(samples, monkeypatch):
    right = verify.packets
    monkeypatch.setattr(
        verify, "packets", lambda *a, **k: (row for row in right(*a, **k) if row.frame != 3)
    )
    (difference,) = verification(samples / "geneve-ovs.pcapng").differences()
    assert (difference.frame, difference.field, difference.ours) == (3, "frame", verify.NOT_READ)
    assert difference.explanation is None


@needs_tshark
def test_reports(samples):
    path = str(samples / "geneve-ovs.pcapng")
    document = json.loads(CliRunner().invoke(main, ["verify", path, "--format", "json"]).stdout)
    assert document["schema"] == "genevecap/verify/1"
    assert document["differences"] == []
    assert document["captures"][0]["unexplained"] == 0
    assert {row["field"] for row in document["captures"][0]["fields"]} == set(FIELDS)
    text = CliRunner().invoke(main, ["verify", path])
    assert text.exit_code == 0
    assert "no difference" in text.stdout
    csv = CliRunner().invoke(main, ["verify", path, "--format", "csv"])
    assert csv.stdout == "capture,frame,field,ours,theirs,explanation,display_filter\n"


@needs_tshark
def test_a_port_of_ours_is_told_to_tshark(samples):
    # UDP to port 8080 is the lab's own traffic: both take it for VXLAN now, tshark its replies too.
    checked = verification(samples / "vxlan-kernel.pcapng", vxlan_ports=(8080,))
    assert all("source port" in difference.explanation for difference in checked.differences())
    assert [capture.unexplained for capture in checked.captures] == [0]


def test_rules_for_ports():
    rules = verify_tshark.decode_as(DecodeSettings(geneve_ports=(7000,)), {6083: "geneve"})
    assert rules["udp.port==6083"] == rules["udp.port==7000"] == "geneve"
    assert rules["udp.port==8472"] == "vxlan"
    assert rules["udp.port==4790"] == "vxlan_gpe"


@needs_tshark
def test_leaving_early_leaves_no_process_behind(samples):
    with verify_tshark.witness(
        str(samples / "geneve-ovs.pcapng"), tshark=tshark.find_tshark("the test"), rules={}
    ) as witness:
        assert next(iter(witness)).frame == 1
    assert not witness._thread.is_alive()
    children = subprocess.run(
        ["ps", "-o", "comm=", "--ppid", str(os.getpid())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "tshark" not in children.stdout


@needs_tshark
def test_the_users_own_settings_of_tshark_do_not_count(samples, tmp_path, monkeypatch):
    (tmp_path / "disabled_protos").write_text("geneve\nudp\n")
    monkeypatch.setenv("WIRESHARK_CONFIG_DIR", str(tmp_path))
    checked = verification(samples / "geneve-ovs.pcapng")
    assert list(checked.differences()) == []


@needs_tshark
def test_no_room_for_temporary_files_is_one_error(samples, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    result = CliRunner().invoke(main, ["verify", str(samples / "geneve-ovs.pcapng")])
    assert result.exit_code == 3
    assert "temporary files" in result.stderr
    assert result.stderr.count("\n") == 1


@needs_tshark
def test_a_file_that_tshark_refuses_is_an_error(tmp_path):
    path = tmp_path / "odd.pcap"
    path.write_bytes(
        bytes.fromhex("d4c3b2a1 0200 0400 00000000 00000000 ffff0000 ff0f0000") + bytes(15) + b"\0"
    )
    with (
        verify_tshark.witness(
            str(path), tshark=tshark.find_tshark("the test"), rules={}
        ) as witness,
        pytest.raises(GenevecapError, match="tshark: "),
    ):
        list(witness)
    result = CliRunner().invoke(main, ["verify", str(path)])
    assert result.exit_code == 3
    assert "Traceback" not in result.output


def test_without_tshark_it_says_how_to_get_it(samples, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ToolMissing, match="apt install tshark"):
        verification(samples / "geneve-ovs.pcapng")
    result = CliRunner().invoke(main, ["verify", str(samples / "geneve-ovs.pcapng")])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


def test_standard_input_and_pipes_are_refused(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in ("-", tmp_path / "fifo"):
        with pytest.raises(UsageError, match="save it first"):
            verification(path)


@needs_tshark
def test_a_missing_file_is_an_error_and_the_others_go_on(samples, tmp_path):
    result = CliRunner().invoke(
        main, ["verify", str(tmp_path / "missing"), str(samples / "vxlan-any-sll2.pcap")]
    )
    assert result.exit_code == 3
    assert "missing" in result.stderr
    assert "no difference" in result.stdout
