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
    for text in (rule.message, rule.explanation, rule.remedy, rule.source, rule.display_filter):
        assert text.strip() == text != ""
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


def frame(header: bytes, port: int) -> bytes:
    """A tunnel header over UDP, with an inner ARP frame behind it."""
    inner = packets.ethernet(packets.arp(), 0x0806)
    return packets.ethernet(packets.ipv4(packets.udp(header + inner, 50000, port)))


BROKEN = {
    "G03": frame(bytes.fromhex("02406558 00000500 01028003 00000000"), 6081),
    "G05": frame(bytes.fromhex("01006558 00000500 01028000"), 6081),
    "G06": frame(bytes.fromhex("01406558 00000500 01020000"), 6081),
    "G08": frame(bytes.fromhex("01006558 00000500 01020020"), 6081),
    "G09": frame(bytes.fromhex("00806558 00000500"), 6081),
    "V01": frame(bytes.fromhex("00000000 00000500"), 4789),
    "V02": frame(bytes.fromhex("08000000 00000501"), 4789),
}
HEALTHY = [
    frame(bytes.fromhex("01406558 00000500 01028000"), 6081),
    frame(bytes.fromhex("00006558 00000500"), 6081),
    frame(bytes.fromhex("08000000 00000500"), 4789),
    frame(bytes.fromhex("8808002a 00000500"), 4789),
]


@needs_tshark
@pytest.mark.parametrize("code", BROKEN)
def test_the_filter_shows_the_frames_that_are_meant(code: str, tmp_path: Path) -> None:
    """Of one bad frame among healthy ones, genevecap and Wireshark show the same one."""
    path = tmp_path / "one.pcap"
    path.write_bytes(captures.pcap(*HEALTHY, BROKEN[code], *HEALTHY))
    (found,) = inspect([CaptureSpec.parse(str(path))]).findings
    assert found.code == code
    assert [each.frame for each in found.frames] == [5]
    for display_filter in (found.display_filter, rules()[code].display_filter):
        done = subprocess.run(
            ["tshark", "-r", str(path), "-Y", display_filter, "-T", "fields", "-e", "frame.number"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == ["5"], display_filter


def test_options_that_do_not_fit_are_not_blamed(tmp_path: Path) -> None:
    """Where OptLen runs past the packet, what stands there is read as nothing: only G02."""
    path = tmp_path / "g02.pcap"
    path.write_bytes(captures.pcap(frame(bytes.fromhex("3f006558 00000500"), 6081)))
    result = inspect([CaptureSpec.parse(str(path))])
    assert [found.code for found in result.findings] == ["G02"]
    assert result.options == ()
    assert result.stops.malformed == 1
