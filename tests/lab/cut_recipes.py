# SPDX-License-Identifier: Apache-2.0
"""What each sample of the real ztunnel is cut from, what it keeps, and why.

An HBONE connection kept with its handshake is kept from its first packet on, so that its keys open
it. Sessions that were sent over one connection at the same time are kept or left out together.
"""

from __future__ import annotations

from tests.lab.cut_truth import Hbone, Recipe

RECIPES: dict[str, Recipe] = {
    "ztunnel-in-pod": Recipe(
        source="ztunnel-1.31",
        captures=("cli", "cli2", "nA", "nB", "srv"),
        hbone=(Hbone("10.244.1.6:49790"), Hbone("10.244.1.4:60744", first_stream=161)),
        sessions=("10.244.1.4:54254", "10.244.1.4:36054"),
        secrets_in="cli2",
        why="""\
Kept is all of the HBONE connection of pod cli2, handshake to last PING: its 26 sessions are small
(10 new, 2 keep-alive, 14 at once through a Service's VIP) and it carried nothing else.
Of pod cli two passthrough sessions are kept, one of them through a VIP.
Of the HBONE connection of pod cli, which had carried transfers of 200 kB, only what follows stream
159 is kept: one idle session, two aborted, two refused, two denied. It began before this capture:
no handshake, so no keys.
""",
    ),
    "ztunnel-waypoint": Recipe(
        source="ztunnel-1.31-waypoint",
        captures=("cli", "cli2", "nA", "nB", "wp", "srv"),
        hbone=(Hbone("10.244.1.4:57578", last_stream=11), Hbone("10.244.1.6:35904")),
        stop_before="10.244.1.4:57188",
        secrets_in="wp",
        why="""\
Kept are the first 14 requests of both client pods and the waypoint's onward streams that carried
them. All captures stop at one moment, when every answer had reached its client and the next session
had not begun: later sessions moved 300 kB over the same connections.
""",
    ),
    "ztunnel-unreachable": Recipe(
        source="ztunnel-1.31-faults",
        captures=("cli", "nA"),
        sessions=("10.244.1.4:35088", "10.244.1.4:35096", "10.244.1.4:35098"),
        why="""\
Kept are the three sessions to pod cli2, whose port 15008 never answered, and ztunnel's three
attempts to reach it. No packet of them came to cli2, so there is no file of it.
""",
    ),
}
