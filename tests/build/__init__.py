# SPDX-License-Identifier: Apache-2.0
"""Builders of packets for tests; they share no code with the decoders."""

from __future__ import annotations
