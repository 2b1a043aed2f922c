# SPDX-License-Identifier: Apache-2.0
"""What the field tree is made of."""

from __future__ import annotations


class Header:
    """A header that is being described."""
