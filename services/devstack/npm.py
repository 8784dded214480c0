"""npm, run by the Node of our own wheel: how it is called, and what its failures mean."""

import os
import re
import sys
from collections.abc import Mapping, Sequence

from services.devstack import binaries
from services.devstack.steps import StepError

_NETWORK_CODES = re.compile(
    r"\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH"
    r"|ERR_SOCKET_TIMEOUT|E40[0-9]|E50[0-9]|UNABLE_TO_GET_ISSUER_CERT\w*|SELF_SIGNED_CERT\w*)\b"
)


def command(*arguments: str) -> Sequence[str]:
    """Give the command line of npm with these arguments."""
    return (str(binaries.node()), str(binaries.npm_cli()), *arguments)


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Give the environment npm runs in, on top of the caller's own."""
    kept = {name: value for name, value in given.items() if name != "NODE_OPTIONS"}
    return {
        **kept,
        # Scripts of packages start `node`: it must be the wheel's, not the system's.
        "PATH": f"{binaries.node().parent}{os.pathsep}{given.get('PATH', os.defpath)}",
        # The wheel's headers. The environment goes before the user's npmrc, which may name
        # another Node's; registries and proxies configured there still hold.
        "npm_config_nodedir": str(binaries.node_home()),
        "npm_config_python": sys.executable,
        "npm_config_ignore_scripts": "false",
        "npm_config_audit": "false",
        "npm_config_fund": "false",
        "npm_config_update_notifier": "false",
        "JOBS": str(os.cpu_count() or 1),
    }


def explain(error: StepError, what: str) -> str:
    """Say in one line why a step of installing `what` failed, and where its log is."""
    words = error.last_words
    if found := _NETWORK_CODES.search(words):
        cause = f"npm could not download ({found.group(1)}); check the network or npm's registry"
    elif "No space left on device" in words or "ENOSPC" in words:
        cause = "no space left on the disk"
    else:
        said = [line for line in words.splitlines() if "error" in line.lower()]
        cause = said[0].strip()[:200] if said else f"exit status {error.status}"
    return f"{what}'s step “{error.step}” failed: {cause}; its log is {error.log}"
