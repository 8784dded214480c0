"""Builds code-server from its npm package, without root and without system headers.

npm's own install scripts would need krb5 headers for one optional module (kerberos, used for
proxies with Negotiate authentication). So packages are installed without scripts, and exactly
the native modules the editor needs are built against the headers in the Node wheel.
"""

import json
import os
import shutil
import stat
from collections.abc import Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path

from services.devstack import binaries, editor_proof, npm
from services.devstack.steps import Report, StepError, Steps

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

_LAUNCHER_SCRIPT = """\
#!/bin/sh
# Starts code-server with the Node it was built for.
root=$(dirname "$(dirname "$(readlink -f "$0")")")/node_modules/code-server
exec "$root/lib/node" "$root/out/node/entry.js" "$@"
"""


class BuildError(Exception):
    """The editor could not be built; one line with the cause and the way out."""


def build(root: Path, environment: Mapping[str, str], logs: Path, report: Report) -> None:
    """Build into the empty directory `root`, and prove that the result answers.

    Raises BuildError.
    """
    require_tools(environment)
    with Steps(npm.environment(environment), logs, report, "editor") as steps:
        try:
            _build(root, steps)
            steps.call("check that it answers", lambda: editor_proof.prove(root / LAUNCHER, logs))
        except StepError as error:
            raise BuildError(npm.explain(error, "the editor")) from error
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
    steps.run("download code-server", root, npm.command(*download))
    server = root / "node_modules" / "code-server"
    vscode = server / "lib" / "vscode"
    with ThreadPoolExecutor() as pool:
        extensions = pool.submit(
            steps.run, "download extensions", vscode / "extensions", npm.command(*download)
        )
        argon2 = pool.submit(steps.run, "build argon2", server, npm.command("rebuild", "argon2"))
        node = pool.submit(steps.call, "copy Node", lambda: _add_node(root, server))
        jobs: list[Future[None]] = [extensions, argon2, node]
        try:
            steps.run("download VS Code's modules", vscode, npm.command(*download))
            for modules in NATIVE_MODULES:
                name = f"build {modules[0].split('/')[-1]}"
                name += f" and {len(modules) - 1} more" if len(modules) > 1 else ""
                jobs.append(pool.submit(steps.run, name, vscode, npm.command("rebuild", *modules)))
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
