# SPDX-License-Identifier: Apache-2.0
"""What `inspect` finds in a file that a test has made."""

from __future__ import annotations

from genevecap.analysis.summary import inspect
from genevecap.capture.spec import CaptureSpec


def found_in(path, octets, **options):
    """Write a capture; return the findings of it by code."""
    path.write_bytes(octets)
    result = inspect([CaptureSpec.parse(str(path))], **options)
    return {found.code: found for found in result.findings}
