"""The scripts of edge's pages: bundled from TypeScript by npm's packages, once for each state.

They are not in the repository, since most of them is other people's libraries. What they are
made of is: sources, and the exact versions with their checksums.
"""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from services.devstack import cache, npm
from services.devstack.binaries import MissingBinaryError
from services.devstack.layout import REPOSITORY
from services.devstack.steps import Report, StepError, Steps

SOURCES = REPOSITORY / "services" / "edge" / "web"
"""What the scripts are made of."""

ENTRY = "edit.js"
"""The script of the page of a document."""

_MADE_OF = ("package.json", "package-lock.json", "tsconfig.json", "src")


class WebError(Exception):
    """The scripts cannot be built; the message is one line with the cause."""


def folder(environment: Mapping[str, str]) -> Path:
    """Give where the scripts of these sources are, or will be."""
    state = hashlib.sha256()
    for path in _files(SOURCES):
        state.update(f"{path.relative_to(SOURCES)}\0".encode())
        state.update(path.read_bytes())
    return cache.folder(environment) / "web" / state.hexdigest()[:16]


def is_built(environment: Mapping[str, str]) -> bool:
    """Tell whether the scripts of these sources are there."""
    return (folder(environment) / ENTRY).is_file()


def install(environment: Mapping[str, str], logs: Path, report: Report) -> Path:
    """Build the scripts, if they are not there, and give their folder.

    Takes some ten seconds and npm's registry. `logs` receives one file a step. Raises WebError.
    """
    try:
        destination = folder(environment)
        cache.make(
            destination,
            lambda: is_built(environment),
            lambda building: _build(building, environment, logs, report),
            report,
        )
    except StepError as error:
        raise WebError(npm.explain(error, "the pages")) from error
    except (MissingBinaryError, OSError) as error:
        raise WebError(f"the pages' scripts cannot be built: {error}") from error
    return destination


def _build(building: Path, environment: Mapping[str, str], logs: Path, report: Report) -> None:
    work = building / "work"
    work.mkdir()
    for name in _MADE_OF:
        copy = shutil.copytree if (SOURCES / name).is_dir() else shutil.copy2
        copy(SOURCES / name, work / name)
    with Steps(npm.environment(environment), logs, report, "web") as steps:
        steps.run("download page libraries", work, npm.command("ci", "--ignore-scripts"))
        steps.run("check pages", work, npm.command("run", "check"))
        steps.run("bundle pages", work, npm.command("run", "build"))
    for made in (work / "dist").iterdir():
        made.rename(building / made.name)
    shutil.rmtree(work)


def _files(root: Path) -> list[Path]:
    named = [root / name for name in _MADE_OF]
    found = [path for one in named for path in (one.rglob("*") if one.is_dir() else [one])]
    return sorted(path for path in found if path.is_file())
