# SPDX-License-Identifier: Apache-2.0
"""Views of results, for people and for programs; nothing here computes, prints or exits."""

from __future__ import annotations
