# SPDX-License-Identifier: Apache-2.0
"""analysis/findings: every rule says all that it should, with a filter that Wireshark takes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from genevecap.analysis.findings import Rule, codes, rules
from genevecap.analysis.summary import inspect
from genevecap.capture.spec import CaptureSpec
from genevecap.columns import Finding
from tests.build import captures, packets

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")


def test_every_bit_has_a_rule() -> None:
    assert {str(bit.name) for bit in Finding} <= set(rules())
    assert codes(int(Finding.G03 | Finding.V01)) == ("G03", "V01")
    assert codes(0) == ()


@pytest.mark.parametrize("rule", rules().values(), ids=rules())
def test_every_rule_says_everything(rule: type[Rule]) -> None:
    for text in (rule.message, rule.explanation, rule.remedy, rule.source):
        assert text.strip() == text != ""
    # Nothing of a packet shows that others were lost, or that a file has no end.
    assert (rule.display_filter == "") == (rule.code in {"C02", "C09", "C10"})
    assert "\n" not in rule.message


@needs_tshark
@pytest.mark.parametrize("rule", rules().values(), ids=rules())
def test_wireshark_takes_every_filter(rule: type[Rule], samples: Path) -> None:
    done = subprocess.run(
        ["tshark", "-r", str(samples / "vxlan-kernel.pcapng"), "-Y", rule.display_filter],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


ARP = packets.ethernet(packets.arp(), 0x0806)


def frame(header: str, port: int, inner: bytes = ARP, source_port: int = 50000, **ip) -> bytes:
    """A tunnel header over UDP with a checksum, by default with an ARP frame inside."""
    udp = packets.udp(
        bytes.fromhex(header) + inner, source_port, port, check=ip.pop("check", 0xBEEF)
    )
    return packets.ethernet(packets.ipv4(udp, **ip))


def over_ipv6(header: str, port: int, inner: bytes = ARP, *, check: int = 0) -> bytes:
    """A tunnel header over UDP, by default without a checksum, over IPv6."""
    udp = packets.udp(bytes.fromhex(header) + inner, 50000, port, check=check)
    return packets.ethernet(packets.ipv6(udp), 0x86DD)


GENEVE = "00006558 00000500"
VXLAN = "08000000 00000500"
TAGGED = packets.ethernet(packets.vlan(packets.arp(), 0x0806), 0x8100)
IN_A_FRAGMENT = {"flags": 1, "identification": 7}

BROKEN = {
    "G03": frame("02406558 00000500 01028003 00000000", 6081),
    "G05": frame("01006558 00000500 01028000", 6081),
    "G06": frame("01406558 00000500 01020000", 6081),
    "G07": frame("01406558 00000500 01029000", 6081),
    "G08": frame("01006558 00000500 01020020", 6081),
    "G09": frame("00806558 00000500", 6081),
    "G10": frame("000088cc 00000500", 6081),
    "G13": frame(GENEVE, 6081, check=0),
    "G14": over_ipv6(GENEVE, 6081),
    "G15": frame(GENEVE, 6081, **IN_A_FRAGMENT),
    "G17": frame("01006558 00000500 ff000000", 6081),
    "G18": frame("00000000 00000500", 6081),
    "V01": frame("00000000 00000500", 4789),
    "V02": frame("08000000 00000501", 4789),
    "V03": frame(VXLAN, 8472),
    "V04": frame(VXLAN, 4789, source_port=40000),
    "V06": frame("8808002a 00000500", 4789),
    "V08": frame(VXLAN, 4789, **IN_A_FRAGMENT),
    "V09": frame(VXLAN, 4789, TAGGED),
    "V10": over_ipv6(VXLAN, 4789),
}
"""One frame for each rule that no other rule has anything to say about."""

TOGETHER = {
    "G19": ({"G03", "G19"}, frame(VXLAN, 6081)),
    "V07": ({"V02", "V07"}, frame("0c000003 00000500", 4789)),
    "V11": ({"V01", "V02", "V11"}, frame(GENEVE, 4789)),
}
"""Frames for rules that explain what others only name."""

HEALTHY = [
    frame("01406558 00000500 01028000", 6081),
    frame(GENEVE, 6081),
    frame("00006558 00000000", 6081, source_port=683),  # G11, G12: VNI 0, any source port
    frame("01000800 00000500 01020000", 6081, packets.ipv4(packets.icmp(), 1)),
    frame(VXLAN, 4789),
    frame(VXLAN, 4789, check=0),
    frame(VXLAN, 4789, flags=2),  # don't fragment
]
"""Nothing of what these are is a finding."""


IPV4 = packets.ethernet(packets.ipv4(packets.udp(bytes(8), check=0xBEEF)))
IPV6 = packets.ethernet(packets.ipv6(packets.tcp(), 6), 0x86DD)
ALMOST = {
    "G13": over_ipv6(GENEVE, 6081, IPV4),
    "G14": frame(GENEVE, 6081, IPV6, check=0),
    "G15": packets.ethernet(packets.ipv4(bytes(16), flags=1, fragment_offset=64)),
    "V08": packets.ethernet(packets.ipv6(packets.ipv6_fragment(bytes(16), 17, 64, 1), 44), 0x86DD),
    "V09": packets.ethernet(packets.vlan(frame(VXLAN, 4789)[14:]), 0x8100),
    "V10": frame(VXLAN, 4789, IPV6, check=0),
}
"""Frames of which one header is like what the rule means, and another one is like the rest of it:
IPv6 inside where it should be outside, a tag outside, a fragment that is not the first."""


def found_in(path: Path, *frames: bytes):
    path.write_bytes(captures.pcap(*frames))
    return inspect([CaptureSpec.parse(str(path))]).findings


def shown_by_tshark(path: Path, display_filter: str) -> list[str]:
    done = subprocess.run(
        ["tshark", "-r", str(path), "-Y", display_filter, "-T", "fields", "-e", "frame.number"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_what_is_usual_is_no_finding(tmp_path: Path) -> None:
    assert found_in(tmp_path / "healthy.pcap", *HEALTHY) == ()


def test_every_packet_rule_is_tried() -> None:
    elsewhere = {"G01", "G02", "C01", "C03", "C04", "C05", "C07"}
    assert {str(bit.name) for bit in Finding} == BROKEN.keys() | TOGETHER.keys() | elsewhere


@needs_tshark
@pytest.mark.parametrize("code", BROKEN)
def test_the_filter_shows_the_frames_that_are_meant(code: str, tmp_path: Path) -> None:
    """Of one bad frame among healthy ones, genevecap and Wireshark show the same one."""
    path = tmp_path / "one.pcap"
    (found,) = found_in(path, *HEALTHY, BROKEN[code], *HEALTHY)
    number = len(HEALTHY) + 1
    assert found.code == code
    assert [each.frame for each in found.frames] == [number]
    assert shown_by_tshark(path, found.display_filter) == [str(number)]
    shown = shown_by_tshark(path, rules()[code].display_filter)
    # No filter knows the registry: there it shows every critical option.
    assert str(number) in shown if code == "G07" else shown == [str(number)]


IN_TUNNELS = {"G01": frame("40006558 00000500", 6081)} | {
    code: octets
    for code, octets in {**BROKEN, **{code: both[1] for code, both in TOGETHER.items()}}.items()
    if code not in {"V03", "V04"}  # they are about the ports of the outermost UDP header, too
}


@needs_tshark
@pytest.mark.parametrize("code", IN_TUNNELS)
def test_filters_look_into_tunnels(code: str, tmp_path: Path) -> None:
    """The bad header is the second of its kind in the frame, or the first of two."""
    path = tmp_path / "nested.pcap"
    healthy = [
        over_ipv6(GENEVE, 6081, frame(VXLAN, 4789), check=0xBEEF),
        over_ipv6(VXLAN, 4789, frame(GENEVE, 6081), check=0xBEEF),
    ]
    octets = IN_TUNNELS[code]
    inside = [
        over_ipv6(GENEVE, 6081, octets, check=0xBEEF),
        over_ipv6(VXLAN, 4789, octets, check=0xBEEF),
    ]
    path.write_bytes(captures.pcap(*healthy, *inside, *healthy))
    (found,) = (f for f in inspect([CaptureSpec.parse(str(path))]).findings if f.code == code)
    assert [each.frame for each in found.frames] == [3, 4]
    assert shown_by_tshark(path, rules()[code].display_filter) == ["3", "4"]


@needs_tshark
@pytest.mark.parametrize("code", ALMOST)
def test_filters_do_not_mix_headers_up(code: str, tmp_path: Path) -> None:
    path = tmp_path / "almost.pcap"
    frames = ALMOST[code], BROKEN[code], ALMOST[code]
    (found,) = (each for each in found_in(path, *frames) if each.code == code)
    assert [each.frame for each in found.frames] == [2]
    assert shown_by_tshark(path, rules()[code].display_filter) == ["2"]


@needs_tshark
def test_what_an_icmp_message_quotes_is_not_shown(tmp_path: Path) -> None:
    quotes = [
        packets.ethernet(packets.ipv4(packets.icmp(frame(header, port, check=0)[14:], 3, 3), 1))
        for header, port in ((GENEVE, 6081), (VXLAN, 4789))
    ]
    path = tmp_path / "quoted.pcap"
    assert found_in(path, *quotes) == ()
    assert shown_by_tshark(path, rules()["G13"].display_filter) == []


@needs_tshark
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ambient-iptables-geneve/node-a.pcapng", "G13"),  # Istio's, on port 6082
        ("vxlan-any-sll2.pcap", "V04"),  # Flannel's, on port 8472
        ("ztunnel-unreachable/cli.pcapng", "A03"),
        ("ztunnel-in-pod/cli.pcapng", "C08"),  # SYNs, not their answers
    ],
)
def test_filters_show_as_many_as_were_counted(name: str, code: str, samples: Path) -> None:
    path = samples / name
    found = {each.code: each for each in inspect([CaptureSpec.parse(str(path))]).findings}[code]
    assert found.packets > len(found.frames)
    assert len(shown_by_tshark(path, found.display_filter)) == found.packets


def test_geneve_with_as_many_options_as_vxlan_has_flags(tmp_path: Path) -> None:
    """The option length of 32 octets, as AWS sends them, is the I flag on VXLAN's port."""
    options = b"".join(packets.geneve_option(0x0108, kind, bytes(4)) for kind in range(4))
    header = packets.geneve(ARP, protocol=0x0800, options=options)
    octets = packets.ethernet(packets.ipv4(packets.udp(header, 50000, 4789, check=0xBEEF)))
    found = found_in(tmp_path / "one.pcap", octets)
    assert {each.code for each in found} == {"V02", "V11"}
    reserved = bytearray(octets)
    reserved[14 + 20 + 8 + 1] |= 1  # a bit that Geneve reserves as VXLAN does
    assert {each.code for each in found_in(tmp_path / "two.pcap", bytes(reserved))} == {"V02"}


def test_options_that_cannot_add_up_are_told_of_though_the_frame_is_cut(tmp_path: Path) -> None:
    octets = frame("03006558 00000500 0102001f 00000000 00000000", 6081)
    for captured, codes_ in ((53, {"C03"}), (54, {"C03", "G03"}), (len(octets), {"G03"})):
        path = tmp_path / "cut.pcap"
        record = captures.pcap_record(octets[:captured], captured=captured, original=len(octets))
        path.write_bytes(captures.pcap() + record)
        found = inspect([CaptureSpec.parse(str(path))]).findings
        assert {each.code for each in found} == codes_


@needs_tshark
@pytest.mark.parametrize("code", TOGETHER)
def test_a_rule_that_explains_others(code: str, tmp_path: Path) -> None:
    codes_, octets = TOGETHER[code]
    path = tmp_path / "one.pcap"
    found = found_in(path, *HEALTHY, octets, *HEALTHY)
    assert {each.code for each in found} == codes_
    assert shown_by_tshark(path, rules()[code].display_filter) == [str(len(HEALTHY) + 1)]


@needs_tshark
@pytest.mark.parametrize(
    ("code", "header"),
    [("V01", "04000003 00000500"), ("V02", "0c010003 00000500"), ("V02", "0c000003 00000501")],
)
def test_the_same_rules_of_vxlan_gpe(code: str, header: str, tmp_path: Path) -> None:
    path = tmp_path / "one.pcap"
    (found,) = found_in(path, *HEALTHY, frame(header, 4790))
    assert found.code == code
    assert shown_by_tshark(path, rules()[code].display_filter) == [str(len(HEALTHY) + 1)]


@needs_tshark
def test_disorder_and_steps_are_shown_apart(tmp_path: Path) -> None:
    path = tmp_path / "back.pcap"
    records = [captures.pcap_record(HEALTHY[0], seconds=at) for at in (10, 9)]
    path.write_bytes(captures.pcap() + b"".join(records))
    assert shown_by_tshark(path, rules()["C05"].display_filter) == ["2"]
    assert shown_by_tshark(path, rules()["C04"].display_filter) == []


def test_options_that_do_not_fit_are_not_blamed(tmp_path: Path) -> None:
    """Where OptLen runs past the packet, what stands there is read as nothing: only G02."""
    path = tmp_path / "g02.pcap"
    path.write_bytes(captures.pcap(frame("3f006558 00000500", 6081)))
    result = inspect([CaptureSpec.parse(str(path))])
    assert [found.code for found in result.findings] == ["G02"]
    assert result.options == ()
    assert result.stops.malformed == 1
