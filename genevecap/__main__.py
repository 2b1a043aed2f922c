# SPDX-License-Identifier: Apache-2.0
"""`python -m genevecap`: the same as the command `genevecap`."""

from __future__ import annotations

from .cli.main import main

main(prog_name="genevecap")
