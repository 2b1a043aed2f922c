# SPDX-License-Identifier: Apache-2.0
"""Tests of the clocks, mostly against simulated networks whose clocks are known."""

from __future__ import annotations
