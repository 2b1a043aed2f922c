# SPDX-License-Identifier: Apache-2.0
"""What a stand-in is told (a JSON file), and what its version makes of it.

Keys of the file; those with a default may be absent:

version, mode, name     "1.20" or "1.31" (any 1.18 or later); redirect mode; name in logs
listen                  {"outbound" | "inbound_hbone" | "inbound_plaintext" | "dns": [address,
                        port]}; more of a kind, as for IPv6: "outbound:ANYTHING"
transparent             IP_TRANSPARENT on the listeners (default false)
original_source         connect from the client's address, as ztunnel does (default false)
mark                    SO_MARK of its own sockets (default 0: none)
original_destination    "sockopt" (SO_ORIGINAL_DST) or "sockname" (default)
workloads               {ip: {"hbone", "identity", "node", "name", "namespace", "type",
                        "gateway": "ip:port" (where its HBONE is taken; default its own 15008)}}
services                {"vip:port": "ip:port"}
service_names           {"vip:port": "host name"} (default none)
identity, tls           SPIFFE ID, {"ca", "cert", "key"}: paths of PEM files
identities              {SPIFFE ID: {"ca", "cert", "key"}}: for several pods of one ztunnel
residence_ms            {"up", "down"}: added to every chunk (default 0)
pool                    "per-source" or "shared" (1.19-1.21; default by version)
forwarded_port          `forwarded` holds the port (default by version)
deny                    [SPIFFE ID]: refused with 401 (default none)
same_node_in_memory     no conn2 between pods of one node (default false)
waypoint                {"dst ip:port": "waypoint ip:15008"} (default none)
remote                  {"dst ip:port": {"gateway": "ip:15008", "host": "host:port", "identity"}}:
                        services of another network, by HBONE in HBONE (default none)
dns                     {"names": {host: [address]}, "upstream": "ip:port"} (default none)
hosts                   {"host:port": "ip:port"}: what a CONNECT by name means (default none)
keylog, access_log      paths or null (default null)
event_log               path
cluster                 name in baggage and access log (default Kubernetes)
reorder                 {"mean_ms", "workers", "seed"}: see `contention.py` (default 1 ms, 6, name)
hbone_port              (default 15008)
connect_timeout_s       (default 10), ping_interval_s (default 10), pool_release_s (default 300)
kernel_timestamps       SO_TIMESTAMPING (default true)

Facts about versions: istio/ztunnel at those tags, src/proxy/{outbound,inbound,pool,h2}.rs and
src/copy.rs, and the packets recorded from 1.24.6 and 1.31.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

Address = tuple[str, int]

MAX_STREAMS = 100
"""Streams at once on one connection, unless the peer allows fewer (pool_max_streams_per_conn)."""

_KIB = 1024
_SMALL_READ, _MIDDLE_READ, _LARGE_READ = _KIB, 16 * _KIB - 64, 256 * _KIB - 64
_SMALL_UNTIL, _MIDDLE_UNTIL = 128 * _KIB, 10 * _KIB * _KIB


class ConfigError(ValueError):
    """The configuration file cannot be used; the message says which key and why."""


def parse_address(text: str) -> Address:
    """Return `ip:port` or `[ip]:port` as a pair."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 0xFFFF:
        raise ConfigError(f"{text!r} is not an address with a port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def format_address(address: Address) -> str:
    """Return a pair as `ip:port` or `[ip]:port`."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What differs between versions and shows in packets."""

    minor: int

    @classmethod
    def of(cls, version: str) -> Self:
        """Return the behaviour of an Istio version such as 1.20 or 1.31."""
        parts = version.split(".")
        if len(parts) < 2 or parts[0] != "1" or not parts[1].isdecimal() or int(parts[1]) < 18:
            raise ConfigError(f"version is {version!r}; known are 1.18 and later")
        return cls(minor=int(parts[1]))

    @property
    def pools(self) -> bool:
        """Streams share connections; 1.18 opened one for each."""
        return self.minor >= 19

    @property
    def pool_per_source(self) -> bool:
        """The source IP is part of the pool's key."""
        return self.minor >= 22

    @property
    def forwarded_port(self) -> bool:
        """`forwarded` is `for="ip:port"`, with the service's host where one was addressed."""
        return self.minor >= 22

    @property
    def response_baggage(self) -> bool:
        """The `200` names the server in a baggage header: absent in 1.24, present in 1.31."""
        return self.minor >= 31

    @property
    def logs_cluster(self) -> bool:
        """Access log lines hold src.cluster and dst.cluster: absent in 1.24, present in 1.31."""
        return self.minor >= 31

    def read_bytes(self, passed_bytes: int) -> int:
        """Return the largest read of a direction that has passed so many bytes already."""
        if self.minor < 22:
            return _MIDDLE_READ
        if passed_bytes < _SMALL_UNTIL:
            return _SMALL_READ
        if self.minor < 23 or passed_bytes < _MIDDLE_UNTIL:
            return _MIDDLE_READ
        return _LARGE_READ


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One pod as the control plane describes it."""

    hbone: bool
    identity: str
    node: str
    name: str
    namespace: str
    kind: str
    """deployment, pod …; empty in the recorded sets, whose baggage then reads `k8s..name`."""
    gateway: Address | None

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Self:
        """Read one value of `workloads`; names default to those in the identity."""
        identity = str(told.get("identity", ""))
        parts = identity.split("/")
        account = parts[-1] if len(parts) > 1 else ""
        namespace = parts[parts.index("ns") + 1] if "ns" in parts[:-1] else "default"
        return cls(
            hbone=bool(told.get("hbone", False)),
            identity=identity,
            node=str(told.get("node", "")),
            name=str(told.get("name", account)),
            namespace=str(told.get("namespace", namespace)),
            kind=str(told.get("type", "")),
            gateway=parse_address(told["gateway"]) if told.get("gateway") else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """PEM files of one identity."""

    ca: str
    cert: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A service of another network."""

    gateway: Address
    """Where its network takes HBONE."""
    host: str
    """`host:port`: both CONNECTs name it."""
    identity: str
    """Of the server."""

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Self:
        """Read one value of `remote`."""
        return cls(
            gateway=parse_address(told["gateway"]),
            host=str(told["host"]),
            identity=str(told["identity"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A configuration file, read and checked."""

    behaviour: Behaviour
    mode: str
    name: str
    listen: Mapping[str, Address]
    transparent: bool
    original_source: bool
    mark: int
    redirected: bool
    """The original destination is in SO_ORIGINAL_DST; else it is the socket's own address."""
    workloads: Mapping[str, Workload]
    services: Mapping[str, Address]
    service_names: Mapping[str, str]
    identity: str
    tls: TlsFiles
    identities: Mapping[str, TlsFiles]
    residence_up_s: float
    residence_down_s: float
    pool_per_source: bool
    forwarded_port: bool
    deny: frozenset[str]
    same_node_in_memory: bool
    waypoint: Mapping[str, Address]
    remote: Mapping[str, Remote]
    hosts: Mapping[str, Address]
    dns_names: Mapping[str, list[str]]
    dns_upstream: Address | None
    keylog: str | None
    access_log: str | None
    event_log: str
    cluster: str = "Kubernetes"
    reorder_mean_s: float = 0.001
    reorder_workers: int = 6
    reorder_seed: str = ""
    hbone_port: int = 15008
    connect_timeout_s: float = 10.0
    ping_interval_s: float = 10.0
    pool_release_s: float = 300.0
    kernel_timestamps: bool = True
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Keys of the file that nobody asked for."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file. Raises ConfigError (what is wrong) or OSError."""
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ConfigError(f"{path} is not JSON: {error}") from error
        if not isinstance(told, dict):
            raise ConfigError(f"{path} holds no object")
        try:
            return cls._read(dict(told))
        except KeyError as error:
            raise ConfigError(f"{path}: key {error} is missing") from error
        except (TypeError, AttributeError) as error:
            raise ConfigError(f"{path}: a value has the wrong form: {error}") from error

    @classmethod
    def _read(cls, told: dict[str, Any]) -> Self:
        behaviour = Behaviour.of(str(told.pop("version")))
        residence, reorder = told.pop("residence_ms", {}), told.pop("reorder", {})
        name = str(told.pop("name"))
        listen: dict[str, Address] = {
            key: (str(to[0]), int(to[1])) for key, to in told.pop("listen").items()
        }
        unknown = {key for key in listen if key.partition(":")[0] not in _LISTENERS}
        if unknown:
            raise ConfigError(f"listen names {sorted(unknown)}; known are {_LISTENERS}")
        workloads, dns = told.pop("workloads", {}).items(), told.pop("dns", None) or {}
        pool = told.pop("pool", None) or ("per-source" if behaviour.pool_per_source else "shared")
        return cls(
            behaviour=behaviour,
            mode=str(told.pop("mode")),
            name=name,
            listen=listen,
            transparent=bool(told.pop("transparent", False)),
            original_source=bool(told.pop("original_source", False)),
            mark=int(told.pop("mark", None) or 0),
            redirected=told.pop("original_destination", "sockname") == "sockopt",
            workloads={ip: Workload.read(value) for ip, value in workloads},
            services=_addresses(told.pop("services", None)),
            service_names=dict(told.pop("service_names", None) or {}),
            identity=str(told.pop("identity")),
            tls=TlsFiles(**told.pop("tls")),
            identities={k: TlsFiles(**v) for k, v in told.pop("identities", {}).items()},
            residence_up_s=float(residence.get("up", 0)) / 1000,
            residence_down_s=float(residence.get("down", 0)) / 1000,
            pool_per_source=pool == "per-source",
            forwarded_port=bool(told.pop("forwarded_port", behaviour.forwarded_port)),
            deny=frozenset(told.pop("deny", None) or ()),
            same_node_in_memory=bool(told.pop("same_node_in_memory", False)),
            waypoint=_addresses(told.pop("waypoint", None)),
            remote={k: Remote.read(v) for k, v in (told.pop("remote", None) or {}).items()},
            hosts=_addresses(told.pop("hosts", None)),
            dns_names=dict(dns.get("names", {})),
            dns_upstream=parse_address(dns["upstream"]) if "upstream" in dns else None,
            keylog=told.pop("keylog", None),
            access_log=told.pop("access_log", None),
            event_log=str(told.pop("event_log")),
            reorder_mean_s=float(reorder.get("mean_ms", 1.0)) / 1000,
            reorder_workers=max(1, int(reorder.get("workers", 6))),
            reorder_seed=str(reorder.get("seed", name)),
            **{key: told.pop(key) for key in _PLAIN if key in told},
            extra=told,
        )

    def is_own(self, kind: str, address: Address) -> bool:
        """Say whether an address is that of a listener of a kind: dialling it would never end."""
        return any(
            name.partition(":")[0] == kind
            and address[1] == port
            and host in {address[0], "0.0.0.0", "::"}  # noqa: S104  compared, not bound
            for name, (host, port) in self.listen.items()
        )

    def tls_of(self, identity: str) -> TlsFiles:
        """Return the files of an identity, or the process's own."""
        return self.identities.get(identity, self.tls)


DNS_LISTENER = "dns"
_LISTENERS = ("outbound", "inbound_hbone", "inbound_plaintext", DNS_LISTENER)
_PLAIN = (
    "cluster",
    "hbone_port",
    "connect_timeout_s",
    "ping_interval_s",
    "pool_release_s",
    "kernel_timestamps",
)


def _addresses(told: Mapping[str, str] | None) -> dict[str, Address]:
    return {key: parse_address(value) for key, value in (told or {}).items()}
