"""A person at vim: the real one."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

VIM = shutil.which("vim") or shutil.which("vim.tiny") or ""

needs_vim = pytest.mark.skipif(not VIM, reason="no vim on PATH")

_CHANGED_MEANWHILE = b"E949"
"""What vim says when the file was replaced between its two looks: it has written nothing."""


async def edit(file: Path, command: str) -> None:
    """Open a file, run an Ex command and save. Where somebody else saves in the same moment, again.

    Raises AssertionError if vim fails in any other way.
    """
    while True:
        process = await asyncio.create_subprocess_exec(
            VIM, "-u", "NONE", "-es", "-V1", "-c", command, "-c", "wq!", file.name,
            cwd=file.parent, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        _, said = await process.communicate()
        if process.returncode == 0:
            return
        assert _CHANGED_MEANWHILE in said, said.decode(errors="replace")
