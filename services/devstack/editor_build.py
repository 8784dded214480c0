"""Builds code-server from its npm package, without root and without system headers.

npm's own install scripts would need krb5 headers for one optional module (kerberos, used for
proxies with Negotiate authentication). So packages are installed without scripts, and exactly
the native modules the editor needs are built against the headers in the Node wheel.
"""

import json
import os
import re
import shutil
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path

from services.devstack import binaries, editor_proof
from services.devstack.editor_steps import StepError, Steps

CODE_SERVER_VERSION = "4.139.1"
"""The pin. Another version may need other native modules: see NATIVE_MODULES."""
NODE_MAJOR = 24
"""What this version of code-server runs on (its package.json, `engines`)."""

LAUNCHER = Path("bin") / "code-server"
"""The executable, relative to the installation."""

# Those built from C and C++ in lib/vscode, parted so that two cores finish together: SQLite is
# one big file that takes as long as all the others.
NATIVE_MODULES = (
    ("@vscode/sqlite3",),
    (
        "node-pty",
        "@vscode/spdlog",
        "@vscode/native-watchdog",
        "@vscode/deviceid",
        "@vscode/fs-copyfile",
        "@parcel/watcher",
    ),
)

Report = Callable[[str, str, str], None]
"""Hears of each step: its name, `working`, `done` or `failed`, and a note."""

_LAUNCHER_SCRIPT = """\
#!/bin/sh
# Starts code-server with the Node it was built for.
root=$(dirname "$(dirname "$(readlink -f "$0")")")/node_modules/code-server
exec "$root/lib/node" "$root/out/node/entry.js" "$@"
"""

_NETWORK_CODES = re.compile(
    r"\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH"
    r"|ERR_SOCKET_TIMEOUT|E40[0-9]|E50[0-9]|UNABLE_TO_GET_ISSUER_CERT\w*|SELF_SIGNED_CERT\w*)\b"
)


class BuildError(Exception):
    """The editor could not be built; one line with the cause and the way out."""


def build(root: Path, environment: Mapping[str, str], logs: Path, report: Report) -> None:
    """Build into the empty directory `root`, and prove that the result answers.

    Raises BuildError.
    """
    require_tools(environment)
    with Steps(_npm_environment(environment), logs, report) as steps:
        try:
            _build(root, steps)
            steps.call("check that it answers", lambda: editor_proof.prove(root / LAUNCHER, logs))
        except StepError as error:
            raise BuildError(_explain(error)) from error
        except editor_proof.ProofError as error:
            raise BuildError(f"the built editor does not work: {error}") from error


def require_tools(environment: Mapping[str, str]) -> None:
    """Check that what native modules are built with is there. Raises BuildError naming it."""
    search = environment.get("PATH", os.defpath)
    compilers = [environment["CXX"].split()[0]] if environment.get("CXX") else ["g++", "c++"]
    missing = []
    if not any(shutil.which(compiler, path=search) for compiler in compilers):
        missing.append("a C++ compiler (g++)")
    if not shutil.which("make", path=search):
        missing.append("make")
    if missing:
        raise BuildError(
            f"{' and '.join(missing)} missing, needed to build the editor: "
            "apt-get install g++ make, or put code-server on PATH, or start with --no-editor"
        )


def _build(root: Path, steps: Steps) -> None:
    package = {"private": True, "dependencies": {"code-server": CODE_SERVER_VERSION}}
    (root / "package.json").write_text(json.dumps(package))
    download = ("install", "--ignore-scripts", "--omit=dev")
    steps.run("download code-server", root, _npm(*download))
    server = root / "node_modules" / "code-server"
    vscode = server / "lib" / "vscode"
    with ThreadPoolExecutor() as pool:
        extensions = pool.submit(
            steps.run, "download extensions", vscode / "extensions", _npm(*download)
        )
        argon2 = pool.submit(steps.run, "build argon2", server, _npm("rebuild", "argon2"))
        node = pool.submit(steps.call, "copy Node", lambda: _add_node(root, server))
        jobs: list[Future[None]] = [extensions, argon2, node]
        try:
            steps.run("download VS Code's modules", vscode, _npm(*download))
            for modules in NATIVE_MODULES:
                name = f"build {modules[0].split('/')[-1]}"
                name += f" and {len(modules) - 1} more" if len(modules) > 1 else ""
                jobs.append(pool.submit(steps.run, name, vscode, _npm("rebuild", *modules)))
            done, _ = wait(jobs, return_when=FIRST_EXCEPTION)
            for job in done:
                job.result()
        except BaseException:
            steps.abort()
            raise
    native = [module for group in NATIVE_MODULES for module in group]
    load = f"for (const name of {json.dumps(native)}) require(name)"
    steps.run("load native modules", vscode, (str(server / "lib" / "node"), "-e", load))
    for intermediate in vscode.glob("node_modules/**/build/Release/obj.target"):
        shutil.rmtree(intermediate)


def _add_node(root: Path, server: Path) -> None:
    # Where code-server's own releases keep it: the editor's terminal looks for it there.
    shutil.copy2(binaries.node(), server / "lib" / "node")
    launcher = root / LAUNCHER
    launcher.parent.mkdir()
    launcher.write_text(_LAUNCHER_SCRIPT)
    launcher.chmod(launcher.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def _npm(*arguments: str) -> Sequence[str]:
    return (str(binaries.node()), str(binaries.npm_cli()), *arguments)


def _npm_environment(environment: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in environment.items() if name != "NODE_OPTIONS"}
    return {
        **kept,
        # Scripts of packages start `node`: it must be the wheel's, not the system's.
        "PATH": f"{binaries.node().parent}{os.pathsep}{environment.get('PATH', os.defpath)}",
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


def _explain(error: StepError) -> str:
    words = error.last_words
    if found := _NETWORK_CODES.search(words):
        cause = f"npm could not download ({found.group(1)}); check the network or npm's registry"
    elif "No space left on device" in words or "ENOSPC" in words:
        cause = "no space left on the disk"
    else:
        said = [line for line in words.splitlines() if "error" in line.lower()]
        cause = said[0].strip()[:200] if said else f"exit status {error.status}"
    return f"the editor's step “{error.step}” failed: {cause}; its log is {error.log}"
