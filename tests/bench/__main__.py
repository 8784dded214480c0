"""Measures the product beside its baselines and prints the figures as JSON.

scripts/bench [starts] [reads] [pages] [fleet] [quota] [paths] [rooms] [documents]
              [client] [config] [messages] [touched]

All of them if none is named.
"""

import asyncio
import json
import os
import platform
import sys
from datetime import UTC, datetime
from typing import Any

import psutil

from services.devstack import editor
from tests.bench import (
    api,
    client,
    config,
    documents,
    fanout,
    fleet,
    messages,
    paths,
    quota,
    starts,
    target,
    touched,
)

_NAMES = (
    "starts",
    "reads",
    "pages",
    "fleet",
    "quota",
    "paths",
    "rooms",
    "documents",
    "client",
    "config",
    "messages",
    "touched",
)


def machine() -> dict[str, Any]:
    """Describe what the figures were measured on."""
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def measure(names: tuple[str, ...], command: str) -> dict[str, Any]:
    """Run the named benchmarks, each against a fresh stack."""
    found: dict[str, Any] = {"machine": machine()}
    for name in names:
        print(f"measuring {name} …", file=sys.stderr)
        with target.running(command) as stack:
            match name:
                case "starts":
                    found[name] = asyncio.run(starts.measure(stack, command))
                case "reads":
                    found[name] = asyncio.run(api.reads(stack))
                case "pages":
                    found[name] = asyncio.run(api.pages(stack))
                case "fleet":
                    found[name] = asyncio.run(fleet.measure(stack))
                case "config":
                    found[name] = asyncio.run(config.measure(stack))
                case "messages":
                    found[name] = asyncio.run(messages.measure(stack))
                case "quota":
                    found[name] = asyncio.run(quota.measure(stack))
                case "paths":
                    found[name] = asyncio.run(paths.measure(stack))
                case "rooms":
                    found[name] = fanout.measure(stack)
                case "client":
                    found[name] = asyncio.run(client.measure(stack))
                case "documents":
                    found[name] = asyncio.run(documents.measure(stack))
                case "touched":
                    found[name] = asyncio.run(touched.measure(stack))
    return found


def main() -> None:
    """Run the benchmarks named on the command line."""
    names = tuple(sys.argv[1:]) or _NAMES
    if unknown := set(names) - set(_NAMES):
        sys.exit(f"{__doc__}\nunknown: {', '.join(sorted(unknown))}")
    command = editor.find(os.environ)
    if command is None:
        sys.exit("there is no editor to measure: run scripts/up once, which installs it")
    print(json.dumps(measure(names, str(command)), indent=2))


if __name__ == "__main__":
    main()
