# SPDX-License-Identifier: Apache-2.0
"""The readable decoder's protocols: one file each, registered by existing.

`protocol.py` is their shape, `walk.py` what `decode` works on, `fields.py` what `fields` builds.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from .protocol import PROTOCOLS, Protocol
from .walk import Walk

__all__ = ["PROTOCOLS", "Protocol", "Walk"]

_SHARED = {"fields", "protocol", "walk"}

for _module in pkgutil.iter_modules(__path__):
    if _module.name not in _SHARED:
        import_module(f"{__name__}.{_module.name}")
