# SPDX-License-Identifier: Apache-2.0
"""The field tree of one frame: every header with its fields, where they lie, and their source.

Built when a person asks for one frame, so it may take its time; the columns come from the same
protocols (`decode/protocols/`), so both say the same.
"""

from __future__ import annotations

from ..protocols.fields import Field, LayerDetail
from .tree import FrameDetail, detail

__all__ = ["Field", "FrameDetail", "LayerDetail", "detail"]
