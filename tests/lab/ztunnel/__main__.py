# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.lab.ztunnel CONFIG.json`: run until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import ssl
import sys
from pathlib import Path

from tests.lab.ztunnel.config import Config, ConfigError
from tests.lab.ztunnel.precise import new_event_loop
from tests.lab.ztunnel.proxy import Proxy


def main(arguments: list[str]) -> int:
    """Run one proxy; return the process's exit status."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m tests.lab.ztunnel CONFIG.json\n")
        return 2
    try:
        config = Config.load(Path(arguments[0]))
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(_serve(config))
    except (ConfigError, OSError, ssl.SSLError) as error:
        sys.stderr.write(f"{arguments[0]}: {error}\n")
        return 1
    return 0


async def _serve(config: Config) -> None:
    await Proxy(config).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
