# SPDX-License-Identifier: Apache-2.0
"""ztunnel's access log: both forms, what collectors put around it, and hostile lines."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from genevecap.analysis.sessions.ztunnel_log import LogPeer, read_line, read_log
from genevecap.errors import UnreadableCapture
from tests.conftest import SHARED

OUTBOUND = (
    "2026-11-23T19:49:39.121880Z\tinfo\taccess\tconnection complete\t"
    'src.addr=10.244.1.4:35170 src.workload="cli" src.namespace="default" '
    'src.identity="spiffe://cluster.local/ns/default/sa/client" src.cluster="Kubernetes" '
    'dst.addr=10.244.2.5:15008 dst.hbone_addr=10.244.2.5:8080 dst.workload="srv" '
    'dst.namespace="default" dst.identity="spiffe://cluster.local/ns/default/sa/server" '
    'direction="outbound" bytes_sent=117 bytes_recv=183 duration="66ms"\n'
)
# As ztunnel's JSON serialiser writes it: flat, in this order, numbers as numbers.
JSON = (
    '{"level":"info","time":"2026-11-23T19:49:39.121880Z","scope":"access",'
    '"message":"connection complete","src.addr":"10.244.1.4:35170","src.workload":"cli",'
    '"src.namespace":"default","src.identity":"spiffe://cluster.local/ns/default/sa/client",'
    '"src.cluster":"Kubernetes","dst.addr":"10.244.2.5:15008","dst.hbone_addr":"10.244.2.5:8080",'
    '"dst.workload":"srv","dst.namespace":"default",'
    '"dst.identity":"spiffe://cluster.local/ns/default/sa/server","direction":"outbound",'
    '"bytes_sent":117,"bytes_recv":183,"duration":"66ms"}\n'
)


def text(fields: str, *, level: str = "info", message: str = "connection complete") -> str:
    return f"2026-01-02T03:04:05Z\t{level}\taccess\t{message}\t{fields}"


def test_every_field_of_a_line():
    one = read_line(OUTBOUND, path="ztA.log", number=7)
    assert (one.path, one.line) == ("ztA.log", 7)
    assert one.time_ns == 1_795_463_379_121_880_000
    assert one.direction == "outbound"
    assert one.source == LogPeer(
        address="10.244.1.4:35170",
        workload="cli",
        namespace="default",
        identity="spiffe://cluster.local/ns/default/sa/client",
    )
    assert one.destination.address == "10.244.2.5:15008"
    assert one.destination.workload == "srv"
    assert one.hbone_address == "10.244.2.5:8080"
    assert one.service is None
    assert (one.up_bytes, one.down_bytes) == (117, 183)
    assert one.duration_ns == 66_000_000
    assert one.error is None


def test_both_forms_say_the_same():
    assert read_line(JSON) == read_line(OUTBOUND)


def test_the_server_counts_from_its_own_side():
    one = read_line(text('direction="inbound" bytes_sent=183 bytes_recv=117'))
    assert (one.up_bytes, one.down_bytes) == (117, 183)


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-23T19:49:40.5Z stderr F " + OUTBOUND,
        "[pod/ztunnel-x8f2p/istio-proxy] " + OUTBOUND,
        "2026-11-23T19:49:40.511Z " + OUTBOUND,
        OUTBOUND.replace("\t", "    "),
        json.dumps({"log": OUTBOUND, "stream": "stdout", "time": "2026-11-23T19:49:40Z"}),
        json.dumps({"log": JSON, "stream": "stdout", "time": "2026-11-23T19:49:40Z"}),
        "  " + JSON,
    ],
    ids=["cri", "prefix", "timestamps", "pasted", "docker", "docker-json", "indented"],
)
def test_what_collectors_put_around_a_line_is_looked_through(line):
    assert read_line(line) == read_line(OUTBOUND)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "\n",
        OUTBOUND.replace("\taccess\t", "\tproxy::outbound\t"),
        OUTBOUND.replace("connection complete", "connection opened"),
        JSON.replace("connection complete", "connection opened"),
        JSON.replace('"access"', '"app"'),
        OUTBOUND.replace("2026-11-23T19", "2026-13-23T19"),
        OUTBOUND.replace("2026-11-23T19", "2026-11-23T29"),
        '{"scope":"access"',
        '["access"]',
        '{"access":' + "[" * 100_000,
        '{"log":"access","scope":"access"}',
        "access " * 1000,
    ],
)
def test_other_lines_are_passed_over(line):
    assert read_line(line) is None


def test_a_connection_denied_early_has_no_more_than_its_addresses():
    one = read_line(
        text(
            'src.addr=[fd00::0:1]:4000 dst.addr=[fd00::2]:15008 direction="inbound" '
            'error="policy rejection"',
            level="warn",
            message="connection failed",
        )
    )
    assert one.source.address == "[fd00::1]:4000"
    assert one.destination.address == "[fd00::2]:15008"
    assert (one.up_bytes, one.duration_ns, one.error) == (None, None, "policy rejection")


def test_quoted_values_are_unescaped():
    one = read_line(text(r'error="say \"no\" to \\ and \u{1b}[31m\n" src.workload="a b=c"'))
    assert one.error == 'say "no" to \\ and \x1b[31m\n'
    assert one.source.workload == "a b=c"
    assert read_line(text(r'error="\u{ffffff}"')).error == "\N{REPLACEMENT CHARACTER}"


def test_a_host_name_is_a_target_too():
    one = read_line(text("dst.hbone_addr=remote.default.svc.cluster.local:80 direction=outbound"))
    assert one.hbone_address == "remote.default.svc.cluster.local:80"


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ("src.addr=10.0.0.1", "source"),
        ("src.addr=10.0.0.1:99999", "source"),
        ("src.addr=host:1", "source"),
    ],
)
def test_what_is_no_endpoint_is_no_address(fields, name):
    assert getattr(read_line(text(fields)), name).address is None


@pytest.mark.parametrize("value", ["-1", "1e3", "9" * 30, "x", '"1 2"'])
def test_what_is_no_number_is_unknown(value):
    one = read_line(text(f"bytes_sent={value} duration={value}"))
    assert (one.up_bytes, one.duration_ns) == (None, None)


@given(st.text(), st.integers(0, len(OUTBOUND)), st.integers(0, len(OUTBOUND)))
@example('"', 60, 61)
def test_any_change_gives_a_line_or_nothing(junk, begin, end):
    for line in (OUTBOUND, JSON):
        read_line(line[:begin] + junk + line[end:])


def test_lines_are_counted_and_a_long_one_costs_nothing(tmp_path):
    path = tmp_path / "zt.log"
    path.write_bytes(
        b"starting\n"
        + OUTBOUND.encode()
        + b"access " * (5 << 20)
        + b"\n\xff\xfe access\n"
        + JSON.encode().rstrip()
    )
    tracemalloc.start()
    try:
        assert [one.line for one in read_log(str(path))] == [2, 5]
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["missing", "", "a\0b"])
def test_a_file_that_cannot_be_read_is_one_error(tmp_path, name):
    with pytest.raises(UnreadableCapture, match="cannot be read"):
        list(read_log(str(tmp_path / name)))


def logs() -> list[str]:
    return sorted(str(path) for path in (SHARED / "lab").glob("ztunnel-*/zt?.log"))


@pytest.mark.skipif(not logs(), reason="the lab's recordings are not beside the checkout")
@pytest.mark.parametrize("path", logs(), ids=lambda path: "/".join(path.split("/")[-2:]))
def test_every_line_of_the_real_ztunnel_is_read(path):
    lines = [line for line in Path(path).read_text().splitlines() if "\taccess\t" in line]
    read = list(read_log(path))
    assert len(read) == len(lines)
    for line, one in zip(lines, read, strict=True):
        assert (one.error is not None) == ("\terror\t" in line)
        assert f'direction="{one.direction}"' in line
        assert None not in {one.source.address, one.up_bytes, one.down_bytes, one.duration_ns}


@pytest.mark.skipif(not logs(), reason="the lab's recordings are not beside the checkout")
@pytest.mark.parametrize("name", ["ztunnel-1.24", "ztunnel-1.31", "ztunnel-1.31-storm"])
def test_byte_totals_are_those_of_the_streams(name):
    folder = SHARED / "lab" / name
    flows = json.loads((folder / "truth.json").read_text())["flows"]
    streams = {flow["conn1"]["client"]: flow["conn2"] for flow in flows if flow["conn2"]}
    compared = 0
    for one in read_log(str(folder / "ztA.log")):
        conn2 = streams.get(one.source.address) if one.direction == "outbound" else None
        if conn2 is not None and "up_bytes" in conn2 and one.error is None:
            assert (one.up_bytes, one.down_bytes) == (conn2["up_bytes"], conn2["down_bytes"])
            compared += 1
    assert compared > 100
    inbound = sorted(
        (one.up_bytes, one.down_bytes)
        for one in read_log(str(folder / "ztB.log"))
        if one.direction == "inbound" and one.hbone_address and one.error is None
    )
    assert set(inbound) <= {
        (conn2["up_bytes"], conn2["down_bytes"])
        for conn2 in streams.values()
        if "up_bytes" in conn2
    }
