# SPDX-License-Identifier: Apache-2.0
"""Which redirect mode carried a session, at its client and at its server."""

from __future__ import annotations

from collections.abc import Sequence

from ...ambient import RedirectMode
from ...ambient.ebpf import Ebpf
from ...ambient.in_pod import InPod
from ...ambient.iptables_geneve import INBOUND_VNI, OUTBOUND_VNI, IptablesGeneve
from ...capture.roles import Role
from ..grouping import Connection
from ..linking.legs import is_redirected
from ..points.roles import PointRole


class Modes:
    """Tells the redirect mode from what a connection met on its way."""

    def __init__(self, roles: Sequence[PointRole], overall: str) -> None:
        """overall: the mode that the whole capture shows; what a connection shows goes first."""
        self._roles = {role.index: role.role for role in roles}
        self._overall = overall

    def of_client(self, connection: Connection) -> str:
        """Return the mode that redirected a client's connection."""
        if is_redirected(connection):
            return InPod.name
        if any(OUTBOUND_VNI in half.vnis for half in connection.halves()):
            return IptablesGeneve.name
        return self._fallback()

    def of_server(self, connection: Connection | None) -> str:
        """Return the mode at the server, from its inbound leg or HBONE connection."""
        if connection is None:
            return "unknown"
        if any(self._roles.get(point) is Role.LO for point in connection.points):
            return InPod.name
        if any(INBOUND_VNI in half.vnis for half in connection.halves()):
            return IptablesGeneve.name
        return self._fallback()

    def _fallback(self) -> str:
        known: set[str] = {mode.name for mode in (InPod, IptablesGeneve, Ebpf)}
        return self._overall if self._overall in known else "unknown"


__all__ = ["Modes", "RedirectMode"]
