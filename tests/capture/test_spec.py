# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from genevecap.capture.spec import CaptureSpec, default_name
from genevecap.errors import UsageError


@pytest.mark.parametrize(
    ("text", "path", "name", "host"),
    [
        ("x.pcap", "x.pcap", "x", "x"),
        ("a=x.pcap", "x.pcap", "a", "a"),
        ("a@h=x.pcap", "x.pcap", "a", "h"),
        ("a@h=d/x.pcap", "d/x.pcap", "a", "h"),
        ("a=b=c.pcap", "b=c.pcap", "a", "a"),
        ("a@h@i=x", "x", "a", "h@i"),
        ("a=p@q", "p@q", "a", "a"),
        ("p@q.pcap", "p@q.pcap", "p@q", "p@q"),
        ("-", "-", "-", "-"),
        ("a=-", "-", "a", "a"),
        ("a@h=-", "-", "a", "h"),
        ("pod-ä=x", "x", "pod-ä", "pod-ä"),
    ],
)
def test_name_host_and_path(text, path, name, host, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert CaptureSpec.parse(text) == CaptureSpec(path=path, name=name, host=host)


@pytest.mark.parametrize("text", ["=x.pcap", "a=", "@h=x", "a@=x", "=", "@="])
def test_an_empty_part_is_wrong_usage(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"NAME\[@HOST\]=\]PATH"):
        CaptureSpec.parse(text)


@pytest.mark.parametrize("path", ["a=x.pcap", "=x.pcap", "a=", "a@h=x", "@="])
def test_a_path_that_exists_is_taken_literally(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / path).touch()
    name = default_name(path)
    assert CaptureSpec.parse(path) == CaptureSpec(path=path, name=name, host=name)


def test_a_folder_with_an_equals_sign(tmp_path):
    (tmp_path / "day=1").mkdir()
    path = tmp_path / "day=1" / "x.pcap"
    path.touch()
    assert CaptureSpec.parse(str(path)).path == str(path)
    assert CaptureSpec.parse(f"n={path}") == CaptureSpec(path=str(path), name="n", host="n")


@pytest.mark.parametrize("path", ["a=" + "n" * 5000, "a=nul\0octet"])
def test_a_path_that_cannot_exist_is_no_error_yet(path):
    assert CaptureSpec.parse(path).path == path[2:]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("x", "x"),
        ("x.pcap", "x"),
        ("x.pcapng", "x"),
        ("x.cap", "x"),
        ("x.pcap.gz", "x"),
        ("x.pcapng.zst", "x"),
        ("x.cap.zst", "x"),
        ("x.gz", "x"),
        ("d.d/x.y.pcap", "x.y"),
        ("x.pcap.pcap", "x.pcap"),
        ("x.gz.gz", "x.gz"),
        ("x.dmp", "x.dmp"),
        ("x.pcap0", "x.pcap0"),
        (".pcap", ".pcap"),
        (".pcap.gz", ".pcap"),
        ("d/", "d"),
        ("-", "-"),
    ],
)
def test_default_names(path, name):
    assert default_name(path) == name
