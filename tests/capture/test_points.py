# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from genevecap.capture.points import PointTable
from genevecap.capture.spec import CaptureSpec
from tests.build import captures as build

from .reading import WALKS, read_spec

NG = build.LITTLE


def spec(name: str, host: str | None = None, path: str = "-") -> CaptureSpec:
    return CaptureSpec(path=path, name=name, host=host or name)


def test_a_point_is_named_after_capture_and_interface():
    points = PointTable()
    assert points.add(spec("a"), 0, "eth0", 1) == 0
    assert points.add(spec("a"), 0, None, 113) == 1
    assert points.add(spec("b", "h"), 1, None, 101) == 2
    assert points.names == ["a/eth0", "a", "b"]
    assert list(points.link_types) == [1, 113, 101]
    assert [point.host for point in points.points] == ["a", "a", "h"]
    assert [point.name for point in points.of_capture(0)] == ["a/eth0", "a"]


def test_a_name_that_is_taken_gets_a_number():
    points = PointTable()
    wanted = [("a", None), ("a", None), ("a", "x"), ("a", None), ("a~2", None), ("a", "x")]
    for name, interface in wanted:
        points.add(spec(name), 0, interface, 1)
    assert points.names == ["a", "a~2", "a/x", "a~3", "a~2~2", "a/x~2"]


def test_a_name_that_looks_numbered_already_is_not_given_twice():
    points = PointTable()
    for name in ("a~2", "a", "a", "a~3", "a"):
        points.add(spec(name), 0, None, 1)
    assert points.names == ["a~2", "a", "a~3", "a~3~2", "a~4"]
    assert len(set(points.names)) == 5


def test_points_of_several_files(tmp_path):
    path = tmp_path / "x.pcapng"
    section = NG.section() + NG.interface(name="eth0") + NG.interface() + NG.packet(interface=1)
    path.write_bytes(section * 2)
    points = PointTable()
    walk = WALKS["readable"]
    for index, capture in enumerate(
        (spec("x", path=str(path)), spec("x", "node", str(path)), spec("y", path=str(path)))
    ):
        told = read_spec(capture, walk, points, index)
        assert {row.point for row in told.rows} == {points.of_capture(index)[1].name}
    assert points.names == ["x/eth0", "x", "x/eth0~2", "x~2", "y/eth0", "y"]
    assert [point.host for point in points.points] == ["x", "x", "node", "node", "y", "y"]
    assert [point.packets for point in points.points] == [0, 2] * 3
    assert [point.capture for point in points.points] == [0, 0, 1, 1, 2, 2]
