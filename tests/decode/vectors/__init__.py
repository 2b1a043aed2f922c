# SPDX-License-Identifier: Apache-2.0
"""Annotated frames and what decoding them must give, one module per family of protocols.

`VECTORS` is all of them; `vector.py` says how one is written and compared.  A module joins by
being in this folder.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from .vector import Vector, as_found, decode_all, frame_batch

__all__ = ["VECTORS", "Vector", "as_found", "decode_all", "frame_batch"]

VECTORS: list[Vector] = [
    vector
    for module in pkgutil.iter_modules(__path__)
    if module.name != "vector"
    for vector in import_module(f"{__name__}.{module.name}").VECTORS
]

assert len({vector.name for vector in VECTORS}) == len(VECTORS)
