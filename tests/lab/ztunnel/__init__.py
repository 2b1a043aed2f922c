# SPDX-License-Identifier: Apache-2.0
"""A stand-in for ztunnel that behaves as ztunnel does where packets show it.

`python -m tests.lab.ztunnel CONFIG.json` is one proxy process; `config.py` says what the
file holds.
"""

from __future__ import annotations
