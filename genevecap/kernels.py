# SPDX-License-Identifier: Apache-2.0
"""Find the compiled kernels, and never run their sources as plain Python.

A kernel's source (`_kernel_*.py`) is valid Python, so a plain import would find it and run it
interpreted: ten times slower than the readable code it would replace, and with C's wrap-around
arithmetic missing.  So a kernel is loaded only from an extension module.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType


def disabled() -> bool:
    """Return whether the environment asks for the readable code (`GENEVECAP_DISABLE_KERNELS=1`)."""
    return os.environ.get("GENEVECAP_DISABLE_KERNELS") == "1"


def not_built() -> list[str]:
    """Return the names of the kernels that have a source here and nothing compiled beside it."""
    folder = Path(__file__).parent
    return sorted(
        ".".join((folder.name, *path.relative_to(folder).with_suffix("").parts))
        for path in folder.rglob("_kernel_*.py")
        if not any(path.with_suffix(suffix).exists() for suffix in EXTENSION_SUFFIXES)
    )


def load(name: str) -> ModuleType | None:
    """Return the compiled kernel `name` (dotted, in this package), None where it was not built."""
    if disabled():
        return None
    loaded = sys.modules.get(name)
    if loaded is not None and not str(loaded.__file__).endswith(".py"):
        return loaded
    package, _, leaf = name.rpartition(".")
    folder = Path(__file__).parent.joinpath(*package.split(".")[1:])
    for suffix in EXTENSION_SUFFIXES:
        path = folder / f"{leaf}{suffix}"
        if path.exists():
            spec = importlib.util.spec_from_file_location(name, path)
            if spec is None or spec.loader is None:
                continue
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            try:
                spec.loader.exec_module(module)
            # A kernel that this one needs was not built, or was built from another version.
            except (ImportError, TypeError, ValueError):
                del sys.modules[name]
                continue
            return module
    return None
