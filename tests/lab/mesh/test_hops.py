# SPDX-License-Identifier: Apache-2.0
"""The Envoy between client and server: what it is told, and the truth from its logs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.lab.mesh import envoy, events, hops, truth
from tests.lab.mesh import topology as net
from tests.lab.mesh.scenario import scenario
from tests.lab.namespaces import LabError

TLS = {"ca": "ca.pem", "cert": "own.pem", "key": "own.key"}
TRACE = "00-1-2-00"


def configured(variant: str):
    chosen = scenario("in-pod", variant=variant)
    written = envoy.files(Path("logs"), net.HOPS[chosen.hop], TLS)
    return envoy.configuration(chosen, written)["static_resources"]


def sockets(config) -> list[tuple[str, int]]:
    """Return the addresses anywhere in a configuration, in order."""
    if isinstance(config, dict):
        own = config.get("socket_address")
        here = [(own["address"], own["port_value"])] if own else []
        return here + [one for value in config.values() for one in sockets(value)]
    return [one for value in config for one in sockets(value)] if isinstance(config, list) else []


@pytest.mark.parametrize(
    ("variant", "listens", "connects", "names"),
    [
        ("waypoint", ("10.244.2.7", 15008), ("10.244.2.5", 15008),
         ["connect_terminate", "main", "connect_originate"]),
        ("east-west-gateway", ("10.244.2.7", 15008), ("10.244.2.5", 15008),
         ["connect_terminate"]),
        ("ingress-gateway", ("10.244.1.9", 8080), ("10.244.2.5", 15008),
         ["main", "connect_originate"]),
    ],
)  # fmt: skip
def test_what_each_envoy_listens_on_and_connects_to(variant, listens, connects, names):
    config = configured(variant)
    assert [one["name"] for one in config["listeners"]] == names
    assert sockets(config["listeners"]) == [listens]
    assert sockets(config["clusters"]) == [connects]


def test_only_the_east_west_gateway_passes_tls_on_untouched():
    def secured(variant):
        return [one["name"] for one in configured(variant)["clusters"]
                if one.get("transport_socket", {}).get("name") == "tls"]  # fmt: skip

    assert secured("waypoint") == secured("ingress-gateway") == ["hbone"]
    assert secured("east-west-gateway") == []


# --- truth ------------------------------------------------------------------------------------


def write(path: Path, *lines: dict) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def logs(tmp_path):
    """Logs of cli's first connection through an Envoy, but for the Envoy's own."""
    conn2 = {"client": "10.244.1.4:2000", "destination": "10.244.2.7:15008"}
    onward = {"client": "10.244.2.7:2500", "destination": "10.244.2.5:15008"}
    write(events.client_log(tmp_path, "cli"),
          {"t_ns": 5, "event": "connected", "name": "cli-001", "local": "10.244.1.4:1000",
           "target": ["10.96.0.51", 80], "kind": "new", "t_connect": 4, "t_connected": 5},
          {"t_ns": 90, "event": "request", "name": "cli-001", "id": "cli-001-1", "t_send": 6,
           "t_first": 89, "t_done": 90, "send_bytes": 7, "receive_bytes": 611},
          {"t_ns": 91, "event": "ended", "name": "cli-001", "how": "close"})  # fmt: skip
    write(events.server_log(tmp_path, "srv"),
          {"t_ns": 60, "event": "request", "id": "cli-001-1", "peer": "10.244.2.7:3000",
           "t_received": 40, "t_body": 41, "t_sent": 50})  # fmt: skip
    write(events.proxy_log(tmp_path, "ztunnel-cli"),
          {"t_ns": 5, "event": "accept", "connection": 1, "listener": "outbound",
           "client": "10.244.1.4:1000", "destination": "10.96.0.51:80"},
          {"t_ns": 9, "event": "connect_sent", "connection": 1, "conn2": conn2, "stream": 1,
           "reused": False, "authority": "10.96.0.51:80", "traceparent": TRACE},
          {"t_ns": 12, "event": "connect_response", "connection": 1, "status": 200})  # fmt: skip
    write(events.proxy_log(tmp_path, "ztunnel-srv"),
          {"t_ns": 15, "event": "connect_received", "connection": 1, "conn2": onward, "stream": 7,
           "traceparent": TRACE},
          {"t_ns": 17, "event": "established", "connection": 1,
           "conn3": {"client": "10.244.2.7:3000", "destination": "10.244.2.5:8080"}})  # fmt: skip
    return tmp_path


def at_envoy(folder, name: str, upstream: str = "10.244.2.7:2500") -> None:
    common = {"t_start": "1790000000.000000500", "upstream_local": upstream, "traceparent": TRACE}
    write(folder / f"{name}.access.log",
          common | {"id": "cli-001-1", "request_end_ns": 3, "request_out_ns": 4,
                    "response_in_ns": 30, "response_out_ns": 31, "done_ns": None})  # fmt: skip
    write(folder / f"{name}.tunnels.log", common)


def test_a_request_through_a_waypoint_has_a_stream_and_times_of_its_own(logs):
    at_envoy(logs, "waypoint")
    found = truth.gather(scenario("in-pod", variant="waypoint"), logs, {})
    flow = found["flows"][0]
    assert (flow["session_kind"], flow["conn3"], flow["inner"]) == ("waypoint", None, None)
    assert flow["conn2"]["dst"] == "10.244.2.7:15008"
    (request,) = flow["requests"]
    assert request["conn3"] == ["10.244.2.7:3000", "10.244.2.5:8080"]
    assert request["hop2"] == ["10.244.2.7:2500", "10.244.2.5:15008", 7]
    began_ns = 1_790_000_000_000_000_500
    assert request["envoy"] == {
        "t_request_received": began_ns, "t_request_end": began_ns + 3,
        "t_request_sent": began_ns + 4,
        "t_response_received": began_ns + 30, "t_response_sent": began_ns + 31, "t_done": None,
    }  # fmt: skip
    (stream,) = found["waypoint_streams"]
    assert (stream["client"], stream["stream"]) == ("10.244.2.7:2500", 7)
    assert stream["ids"] == ["cli-001-1"]


def test_a_request_that_no_stream_brought_is_no_truth(logs):
    at_envoy(logs, "waypoint")
    path = events.server_log(logs, "srv")
    path.write_text(path.read_text().replace("10.244.2.7:3000", "10.244.2.7:3001"))
    with pytest.raises(LabError, match="cli-001-1: nobody knows the stream"):
        truth.gather(scenario("in-pod", variant="waypoint"), logs, {})


def test_an_east_west_gateway_has_one_onward_connection_for_each_stream(logs):
    at_envoy(logs, "eastwest")
    with events.proxy_log(logs, "ztunnel-cli").open("a") as log:
        log.write('{"t_ns": 14, "event": "inner_connect_sent", "connection": 1, "stream": 1}\n')
    found = truth.gather(scenario("in-pod", variant="east-west-gateway"), logs, {})
    flow = found["flows"][0]
    assert flow["session_kind"] == "multi-network"
    assert flow["conn2"]["dst"] == "10.244.2.7:15008"
    assert flow["conn2"]["t_connect_recv"] is None
    assert (flow["inner"]["client"], flow["inner"]["stream"]) == ("10.244.2.7:2500", 1)
    assert (flow["inner"]["t_connect_sent"], flow["inner"]["t_connect_recv"]) == (14, 15)
    assert flow["conn3"]["client"] == "10.244.2.7:3000"
    assert found["waypoint_streams"] == []


def test_an_envoy_that_names_another_connection_is_no_truth(logs):
    at_envoy(logs, "eastwest", upstream="10.244.2.7:2501")
    with pytest.raises(LabError, match=r"Envoy says 10\.244\.2\.7:2501, the server's ztunnel 10\."):
        truth.gather(scenario("in-pod", variant="east-west-gateway"), logs, {})


def test_times_in_envoys_log():
    assert hops.nanoseconds("1790000000.000000500") == 1_790_000_000_000_000_500
    assert hops.nanoseconds("7") == 7_000_000_000
