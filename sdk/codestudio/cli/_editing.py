"""A document in an editor of one's own: every save is merged, and none is thrown away."""

import asyncio
import contextlib
import shlex
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import codestudio
from codestudio.cli import _output


@contextlib.contextmanager
def kept_if_unstored(name: str) -> Iterator[Path]:
    """Give a file that is removed with its folder, unless the block ends with an error."""
    folder = Path(tempfile.mkdtemp(prefix="codestudio-edit-"))
    file = folder / name
    try:
        yield file
    except BaseException:
        if file.exists():
            _output.say(f"Not all of it is stored: what you saved last is kept in {file}")
            raise
        shutil.rmtree(folder)
        raise
    shutil.rmtree(folder)


class Editing:
    """A document, and the file an editor works on."""

    def __init__(self, document: codestudio.AsyncDocument, file: Path) -> None:
        self._document = document
        self._file = file
        self._base = document.text
        self._error: codestudio.CodeStudioError | None = None
        self.saves = 0
        """How many saves were merged."""

    async def run(self, program: str) -> int:
        """Merge what an editor saves until it ends, and wait until it is stored.

        Gives the editor's exit code. Raises CodeStudioError where the last save is not stored.
        """
        import watchfiles

        await asyncio.to_thread(self._file.write_text, self._base, newline="")
        editor = await self._start(program)
        ended = asyncio.Event()
        waiting = asyncio.create_task(_wait(editor, ended), name="wait for the editor")
        loop = asyncio.get_running_loop()
        # As Git does: Ctrl-C is the editor's, which has the terminal.
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        try:
            changes = watchfiles.awatch(self._file.parent, stop_event=ended, debounce=200)
            async for _ in changes:
                self._take_in()
        finally:
            await waiting
            loop.remove_signal_handler(signal.SIGINT)
        self._take_in(ended=True)
        if self._error is not None:
            raise self._error
        await self._document.flush()
        return editor.returncode or 0

    async def _start(self, program: str) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(*shlex.split(program), str(self._file))
        except (OSError, ValueError) as error:
            self._file.unlink()
            raise codestudio.NotConfigured(
                f"the editor {program!r} cannot be started: {error}; set $EDITOR",
                code="EDITOR_NOT_STARTED",
            ) from None

    def _take_in(self, *, ended: bool = False) -> None:
        """Merge a save; an error that the end finds unchanged is raised then, not under vim."""
        try:
            saved = self._file.read_bytes().decode()
        except FileNotFoundError:
            return  # between two steps of a save
        except UnicodeDecodeError:
            # The same, before the end.
            self._error = codestudio.InvalidArgument(
                "what was saved is not text in UTF-8", code="NOT_TEXT"
            )
            return
        self._error = None
        # An empty file is most likely one that is just being written, until the end.
        if saved == self._base or not (saved or ended):
            return
        try:
            self._document.set_text(saved, base=self._base)
        except codestudio.CodeStudioError as error:
            self._error = error
        else:
            self._base, self.saves = saved, self.saves + 1


async def _wait(editor: asyncio.subprocess.Process, ended: asyncio.Event) -> None:
    try:
        await editor.wait()
    finally:
        ended.set()
