"""What real programs do to the files of a folder: editors, formatters, Git."""

import asyncio
import os
import subprocess
import sys

from codestudio._folder.owner import Told

from tests import vim
from tests.integration.sdk.desk import Desk
from tests.integration.sdk.folder.side import Two, until


@vim.needs_vim
async def test_editors(two: Two) -> None:
    """A real vim on one side, sed and a formatter's rename on the other, at the same time."""
    one, other = two
    text = "".join(f"line {n}\n" for n in range(40))
    one.put("a.txt", text)
    await until(lambda: other.text("a.txt") == text)
    for n in range(6):
        sed = await asyncio.create_subprocess_exec(
            "sed", "-i", f"s/^line {39 - n}$/sed {39 - n}/", "a.txt", cwd=other.root
        )
        await vim.edit(one.path("a.txt"), f"%s/^line {n}$/vim {n}/")
        assert await sed.wait() == 0
        await asyncio.sleep(0.1)
    wanted = text
    for n in range(6):
        wanted = wanted.replace(f"line {n}\n", f"vim {n}\n")
        wanted = wanted.replace(f"line {39 - n}\n", f"sed {39 - n}\n")
    await until(lambda: one.text("a.txt") == other.text("a.txt") == wanted)


@vim.needs_vim
async def test_formatters(two: Two, desk: Desk) -> None:
    """A formatter rewrites the file on one side while vim edits it on the other, at the same time.

    Formatted text stays so, and whatever was typed meanwhile is in both, once.
    """
    one, other = two
    ragged = "".join(f"value_{n}=[ {n},{n} ]\n" for n in range(30))
    one.put("a.py", ragged)
    await until(lambda: other.text("a.py") == ragged)
    for n in range(4):
        ruff = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ruff", "format", "--quiet", "--isolated", "--no-cache", "a.py",
            cwd=one.root,
        )  # fmt: skip
        await vim.edit(other.path("a.py"), f"$s/$/\\rtyped_{n}=( {n} )/")
        assert await ruff.wait() == 0
        await until(lambda n=n: f"typed_{n}" in (one.text("a.py") or ""))
    # Who formats what is being formatted elsewhere writes the same twice.
    await until(lambda: one.text("a.py") == other.text("a.py") == desk.text("a.py"))
    ruff = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ruff", "format", "--quiet", "--isolated", "--no-cache", "a.py",
        cwd=other.root,
    )  # fmt: skip
    assert await ruff.wait() == 0
    wanted = "".join(f"value_{n} = [{n}, {n}]\n" for n in range(30))
    wanted += "".join(f"typed_{n} = {n}\n" for n in range(4))
    await until(lambda: one.text("a.py") == other.text("a.py") == wanted)


async def test_git_checkout(two: Two) -> None:
    """Changing branches in one folder changes the other's files; .git is nobody's business."""
    one, other = two

    def git(*arguments: str) -> None:
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "HOME": str(one.root)}
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
            cwd=one.root,
            check=True,
            capture_output=True,
            env=environment,
        )

    git("init", "-q", "-b", "main")
    for n in range(10):
        one.put(f"f{n}", f"main {n}\n" * 5)
    git("add", ".")
    git("commit", "-qm", "one")
    git("checkout", "-qb", "branch")
    for n in range(10):
        one.put(f"f{n}", f"main {n}\n" * 4 + f"branch {n}\n")
    git("commit", "-qam", "two")

    def all_are(end: str) -> bool:
        return all((other.text(f"f{n}") or "").endswith(f"{end} {n}\n") for n in range(10))

    await until(lambda: all_are("branch"))
    await asyncio.to_thread(git, "checkout", "-q", "main")
    await until(lambda: all_are("main"))
    await asyncio.to_thread(git, "checkout", "-q", "branch")
    await until(lambda: all_are("branch"))
    assert not (other.root / ".git").exists()
    assert not [told for side in two for told in side.told if told[0] is Told.KEPT]


async def test_an_editor_with_an_old_buffer(two: Two, desk: Desk) -> None:
    """Saving a buffer that was read before others edited does not take back what they did."""
    one, other = two
    text = "".join(f"line {n}\n" for n in range(20))
    one.put("a", text)
    await until(lambda: other.text("a") == text)
    buffer = one.text("a") or ""
    other.put("a", text.replace("line 3\n", "line 3 of other\n"))
    await until(lambda: "of other" in (one.text("a") or ""))
    one.put("a", buffer.replace("line 15\n", "line 15 of one\n"))
    wanted = text.replace("line 3\n", "line 3 of other\n").replace("line 15\n", "line 15 of one\n")
    await until(lambda: one.text("a") == other.text("a") == desk.text("a") == wanted)
    one.put("a", text)  # to the letter what it was: brought back on purpose
    await until(lambda: one.text("a") == other.text("a") == desk.text("a") == text)
