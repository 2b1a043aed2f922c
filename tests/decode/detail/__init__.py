# SPDX-License-Identifier: Apache-2.0
"""Tests of the field tree."""

from __future__ import annotations
