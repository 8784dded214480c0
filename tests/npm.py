"""Packages from npm that tests speak with: installed once into a cache, never into the project."""

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from services.devstack import cache, npm

_SECONDS = 240


def installed(packages: Mapping[str, str]) -> Path:
    """Give the folder whose node_modules has these packages; skips where npm cannot be reached."""
    name = hashlib.sha256(json.dumps(sorted(packages.items())).encode()).hexdigest()[:12]
    folder = cache.folder(os.environ) / "tests" / name
    done = folder / "done"
    if done.exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text(json.dumps({"private": True, "dependencies": packages}))
    try:
        subprocess.run(
            npm.command("install"),
            cwd=folder,
            check=True,
            capture_output=True,
            timeout=_SECONDS,
            env={**npm.environment(os.environ), "npm_config_ignore_scripts": "true"},
        )
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"npm cannot be reached: {error}")
    done.touch()
    return folder
