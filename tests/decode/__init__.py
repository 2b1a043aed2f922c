# SPDX-License-Identifier: Apache-2.0
"""Tests of both decoders."""

from __future__ import annotations
