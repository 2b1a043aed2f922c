# SPDX-License-Identifier: Apache-2.0
"""Decode VXLAN and Geneve captures and explain Istio ambient interception."""

from __future__ import annotations

__version__ = "0.1.0"
