# SPDX-License-Identifier: Apache-2.0
"""analysis/inputs: several captures as one run, and what goes wrong with one of them."""

from __future__ import annotations

from pathlib import Path

from genevecap.analysis.inputs import Inputs
from genevecap.analysis.results import Problem
from genevecap.analysis.select import Selector
from genevecap.capture.spec import CaptureSpec
from genevecap.columns import Finding
from genevecap.decode import DecodeSettings
from tests.build.captures import Pcapng


class Told:
    """Remembers what progress was told."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int | None, int]] = []

    def update(self, bytes_read: int, bytes_total: int | None, packets: int) -> None:
        self.calls.append((bytes_read, bytes_total, packets))


def read(*paths: Path, told: Told | None = None) -> tuple[Inputs, list[Problem], int]:
    """Read captures to their end; return the run, its problems and the frames that came."""
    problems: list[Problem] = []
    specs = [CaptureSpec.parse(str(path)) for path in paths]
    inputs = Inputs(specs, DecodeSettings(), Selector(), problems.append, told)
    return inputs, problems, sum(batch.decoded.count for batch in inputs.batches())


def test_the_others_go_on(samples: Path, tmp_path: Path) -> None:
    good = samples / "geneve-ovs.pcapng"
    text = tmp_path / "text"
    text.write_text("no capture")
    damaged = tmp_path / "damaged.pcap"
    damaged.write_bytes((samples / "vxlan-any-sll2.pcap").read_bytes()[:2000] + b"\xff" * 4000)
    inputs, problems, frames = read(text, damaged, good)
    alone = read(good)[2]
    before_damage = inputs.states[1].capture
    assert before_damage is not None
    assert before_damage.packets > 0
    assert frames == alone + before_damage.packets
    assert [problem.severity for problem in problems] == ["error", "error"]
    assert [state.damage is not None for state in inputs.states] == [False, True, False]


def test_a_capture_that_ends_early_is_a_warning(samples: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.pcapng"
    cut.write_bytes((samples / "geneve-ovs.pcapng").read_bytes()[:9000])
    _, problems, frames = read(cut)
    assert frames > 0
    assert [problem.severity for problem in problems] == ["warning"]
    assert "cut short" in problems[0].message
    assert "octets" in problems[0].message


def test_progress_is_told_over_all_inputs(samples: Path) -> None:
    paths = [samples / "geneve-ovs.pcapng", samples / "geneve-short.pcap.gz"]
    told = Told()
    frames = read(*paths, told=told)[2]
    total = sum(path.stat().st_size for path in paths)
    assert told.calls[-1] == (total, total, frames)
    assert [call[0] for call in told.calls] == sorted(call[0] for call in told.calls)


def test_a_time_outside_int64_is_a_finding_and_no_time_is_none(tmp_path: Path) -> None:
    made = Pcapng()
    path = tmp_path / "times.pcapng"
    path.write_bytes(
        made.section()
        + made.interface()
        + made.packet(b"\0" * 60, units=2**63)
        + made.simple(b"\0" * 60)
    )
    specs = [CaptureSpec.parse(str(path))]
    inputs = Inputs(specs, DecodeSettings(), Selector(), lambda problem: None)
    found = [
        batch.decoded.findings[i] for batch in inputs.batches() for i in range(batch.decoded.count)
    ]
    assert found == [Finding.C01, 0]
