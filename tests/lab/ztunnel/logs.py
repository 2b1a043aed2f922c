# SPDX-License-Identifier: Apache-2.0
"""The two logs of a proxy: events with times (ours), and the access log (ztunnel's form).

Events are JSON objects, one a line; `t_ns` is CLOCK_REALTIME. Each connection of an application
has a number, `connection`, in all its events. They are:

listening               {listen}: the proxy is ready
accept                  {listener, client, destination} (conn1, or plain text from outside)
pool_connect            {conn2}: TCP to the peer's 15008 is being opened; pool_connected when it is
pool_ready              {conn2}: TLS is up;  pool_failed {destination, error}
hbone_accept            {conn2}: (inbound) TLS is up, {identity}
connect_sent            {conn2, stream, reused, authority, forwarded, traceparent}
connect_received        {conn2, stream, authority, forwarded, traceparent}
connect_response        {status}: arrived;  response_sent {status}
inner_connect_sent      {stream}, inner_connect_response {status}: of HBONE inside that stream
dial, established       {conn3: {client, destination}}: conn3, or the plain onward connection
chunk                   {direction, in_ns, out_ns, bytes, kernel_rx_ns, kernel_tx_ns}
                        (written once kernel_tx_ns is known or given up: sort by in_ns)
dns                     {client, host, answered_by}: a query; by `ztunnel` or `resolver`
fin, reset              {side}: came from `downstream` or `upstream`
refused, denied, unreachable, close
"""

from __future__ import annotations

import datetime as dt
import json
import time
from pathlib import Path
from typing import IO, Any

from tests.lab.ztunnel.config import Address, Config, Workload, format_address


class EventLog:
    """Writes events; `close` at the end."""

    def __init__(self, path: Path) -> None:
        self._file: IO[str] = path.open("a", encoding="utf-8")

    def write(self, event: str, **values: Any) -> None:
        """Write one event with the time it has now."""
        self.write_at(time.time_ns(), event, **values)

    def write_at(self, t_ns: int, event: str, **values: Any) -> None:
        """Write one event with a time of its own."""
        json.dump({"t_ns": t_ns, "event": event, **values}, self._file, separators=(",", ":"))
        self._file.write("\n")

    def flush(self) -> None:
        """Hand everything to the kernel, for those who read along."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class AccessLog:
    """ztunnel's access log: one line when a connection is complete.

    Source: the lines 1.24.6 and 1.31 wrote (zt src/proxy/metrics.rs); older versions wrote another
    form, here they get 1.24's.
    """

    def __init__(self, path: str | None, config: Config) -> None:
        self._file: IO[str] | None = None
        if path:
            self._file = Path(path).open("a", encoding="utf-8")  # noqa: SIM115  see close
        self._config = config

    def write(
        self,
        *,
        client: Address,
        destination: Address,
        outbound: bool,
        sent_bytes: int,
        received_bytes: int,
        duration_s: float,
        source_identity: str = "",
        hbone_address: str = "",
        service: str = "",
        workload: Workload | None = None,
        error: str = "",
    ) -> None:
        """Write the line of one connection.

        workload: the destination's; source_identity: empty where no TLS is involved.
        """
        if self._file is None:
            return
        source = self._config.workloads.get(client[0])
        fields = [
            ("src.addr", format_address(client)),
            *self._workload("src", source, source_identity),
            ("dst.addr", format_address(destination)),
            *([("dst.hbone_addr", hbone_address)] if hbone_address else []),
            *([("dst.service", _quoted(service))] if service else []),
            *self._workload(
                "dst", workload, workload.identity if workload and hbone_address else ""
            ),
            ("direction", _quoted("outbound" if outbound else "inbound")),
            ("bytes_sent", str(sent_bytes)),
            ("bytes_recv", str(received_bytes)),
            ("duration", _quoted(f"{int(duration_s * 1000)}ms")),
            *([("error", _quoted(error))] if error else []),
        ]
        now = dt.datetime.now(dt.UTC)
        line = [
            f"{now:%Y-%m-%dT%H:%M:%S.%fZ}",
            "error" if error else "info",
            "access",
            "connection complete",
            " ".join(f"{key}={value}" for key, value in fields),
        ]
        self._file.write("\t".join(line) + "\n")
        self._file.flush()

    def _workload(
        self, side: str, workload: Workload | None, identity: str
    ) -> list[tuple[str, str]]:
        found = []
        if workload is not None:
            found.append((f"{side}.workload", _quoted(workload.name)))
            found.append((f"{side}.namespace", _quoted(workload.namespace)))
        if identity:
            found.append((f"{side}.identity", _quoted(identity)))
        if workload is not None and self._config.behaviour.logs_cluster:
            found.append((f"{side}.cluster", _quoted(self._config.cluster)))
        return found

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
