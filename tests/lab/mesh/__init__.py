# SPDX-License-Identifier: Apache-2.0
"""A two-node ambient mesh in network namespaces, with the truth about every packet."""

from __future__ import annotations
