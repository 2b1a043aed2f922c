# SPDX-License-Identifier: Apache-2.0
"""The command line: parses words, calls one function, prints."""

from __future__ import annotations
