"""One file and one document, kept the same."""

import asyncio
import contextlib
from pathlib import Path

from codestudio import _errors
from codestudio._document_types import ConnectionState, Role
from codestudio._folder import refusals
from codestudio._folder.files import Content, Found
from codestudio._folder.origin import History, remembered
from codestudio._folder.owner import Owner, Told
from codestudio._folder.records import Record
from codestudio._live import edits
from codestudio._live.document import AsyncDocument

_QUIET = 0.1
"""Seconds to wait after something happened: what an editor does in several steps is over then."""

_DOUBTFUL = 1.0
"""Seconds for which a file has to be empty, or gone, to be believed: editors and Git empty and
remove a file before they write it anew."""

_CARRIED = 5
"""How often a difference is looked for in a thread, where the loop goes on meanwhile."""

_NOTED = 1.0
"""Seconds between two looks at whether what is remembered as not stored is stored by now."""


class _DoubtfulError(Exception):
    """The file may just be being written: it is to be read again, `seconds` from now at most."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds


class Follower:
    """Keeps one file and one document the same, whichever changes, one step after the other.

    `base` is the text both had last. What differs from it in the file was done by an editor, and
    is made in the document as few small edits; what differs from it in the document came from
    others, and is written. Our own writing is recognised by its result: the file is at base.
    """

    def __init__(self, owner: Owner, path: str) -> None:
        self._owner = owner
        self.path = path
        self.document: AsyncDocument | None = None
        self.base: str | None = None
        self.problem = ""
        """Why the file is not carried."""
        self.refusal = ""
        """Why what is in the file cannot be stored, where waiting does not help."""
        self._record: Record | None = None  # what is remembered, while the document is not open
        self._remote = False  # whether the project has the document
        self._doubted: float | None = None  # since when the file is not believed
        self._awake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None
        self._stopping = False
        self._over = False  # there is neither file nor document
        self._history = History()
        self._exact = True  # what is remembered of the file is what it is
        self._owed = False  # what is remembered is not all stored
        self.at_rest = asyncio.Event()

    # For the folder.

    def start(self, *, record: Record | None, remote: bool) -> None:
        """Begin: with what is remembered, and whether the project has the document."""
        self._record, self._remote = record, remote
        if record is not None:
            self._history = History(record.former)
        self._task = asyncio.create_task(self._run(), name=f"follow {self.path}")

    def nudge(self) -> None:
        """Look again: something may have happened."""
        self.at_rest.clear()
        self._awake.set()

    @property
    def idle(self) -> bool:
        """Whether file and document are the same, and everything is stored."""
        document = self.document
        if self.problem or self.refusal:
            return True
        live = document is not None and document.connection is ConnectionState.LIVE
        return bool(self.at_rest.is_set() and live and document and not document.unstored)

    @property
    def cut_off(self) -> bool:
        """Whether its document is open, and has no connection."""
        document = self.document
        return document is not None and document.connection is not ConnectionState.LIVE

    async def stop(self, seconds: float) -> bool:
        """Bring over what there is, and leave the document; whether all of it is stored."""
        self._stopping = True
        self.nudge()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=seconds)
            self._task.cancel()
            await asyncio.wait([self._task], timeout=1)
        if not self._exact:
            await self._remember()
        document = self.document
        stored = await self._close(seconds)
        if document is not None and self._owed and not document.unstored:
            await self._remember(document)
        followed = document is not None or self._over or bool(self.problem)
        return stored and followed and not self.refusal

    # The work.

    async def _run(self) -> None:
        pause = refusals.RETRY_FIRST
        while True:
            self._awake.clear()
            try:
                async with self._owner.slots:
                    if not await self._step():
                        self._over = True
                        break
            except _DoubtfulError as doubt:
                # Not in a slot: others need not wait until this is believed.
                await self._wait(doubt.seconds)
                await asyncio.sleep(_QUIET)
                continue
            except (_errors.CodeStudioError, OSError) as error:
                if self._stopping:
                    break
                await self._let_document_go()
                verdict = refusals.judge(error, pause)
                self._tell_failure(refusals.reason(error), final=verdict.final)
                await self._wait(verdict.seconds)
                if not verdict.final:
                    pause = min(2 * pause, refusals.RETRY_MOST)
                continue
            if self.document is None or not self.document.unstored:
                pause, self.refusal = refusals.RETRY_FIRST, ""
            if not self._awake.is_set():
                if self._stopping:
                    break
                self.at_rest.set()
                await self._rest()
            # Several steps of an editor, or several keystrokes of others, become one.
            await asyncio.sleep(_QUIET)

    async def _step(self) -> bool:
        """Bring both sides together; False where there is nothing to follow any more."""
        try:
            if self.document is None and not await self._open():
                return False
            return await self._reconcile()
        except _errors.NotFound:
            # Where the file was changed as well, it becomes a document again.
            await self._deleted_elsewhere()
            self._record, self._remote = None, False
            self.nudge()
            return True

    async def _let_document_go(self) -> None:
        """Close a document that the server refused: it is opened again from what is remembered."""
        document = self.document
        if document is None or document.error is None:
            return
        self._record, self._remote = self._record_of(document), True
        try:
            await self._remember()
        except OSError as error:
            self._owner.tell(Told.FAILED, self.path, refusals.reason(error))
        await self._close(0)

    def _tell_failure(self, why: str, *, final: bool) -> None:
        if not final:
            self.refusal = ""
            self._owner.tell(Told.FAILED, self.path, why)
        elif why != self.refusal:  # once
            self.refusal = why
            self._owner.tell(Told.SKIPPED, self.path, why)

    async def _rest(self) -> None:
        """Wait for something to happen; meanwhile note what is remembered as stored once it is."""
        while (self._owed or self.refusal) and not self._awake.is_set():
            await self._wait(_NOTED)
            if self.document is not None and not self.document.unstored:
                self.refusal = ""
                with contextlib.suppress(OSError):  # a full disk: it is tried again
                    await self._remember()
        await self._awake.wait()

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._awake.wait()
        except TimeoutError:
            return

    async def _open(self) -> bool:
        """Open the document; False where there is nothing to follow any more."""
        record, remote = self._record, self._remote
        disk = await self._read()
        if record is None and not remote and disk.text is None and not disk.problem:
            self._owner.let_go(self.path)
            return False
        if disk.problem:
            return True
        content = disk.text if record is None and not remote else None
        document = self._owner.open(self.path, content, record)
        try:
            await document.connect()
            if record is not None:
                # Before anything of others has come, and also if the document is gone.
                self.base = remembered(disk.text, record, document.text)
                if self.base != record.base:
                    self._history.replaced(record.base)
                if record.confirmed is not None:
                    document.session.resume(record.confirmed)
                self._owed = document.unstored
                held = document.text
            await document.ready()
            if record is not None and record.confirmed is None and document.epoch != record.epoch:
                await self._set_aside(held, "conflicts", "the project began the document anew")
            same = disk.text in (None, document.text)
            if record is None and disk.text is not None and not same:
                # Two texts that nobody knows the origin of: the document's is shared already.
                # Nothing is done before this one is kept: it would be taken for an edit.
                await self._set_aside(disk.text, "conflicts", "the project has another text")
        except BaseException:
            with contextlib.suppress(_errors.CodeStudioError):
                await document.close(0)
            raise
        self.document = document
        self._listening = asyncio.create_task(self._listen(document), name=f"hear {self.path}")
        if record is not None:
            return True
        self.base = disk.text
        if same:
            await self._remember()
            if content is not None:
                self._owner.tell(Told.SENT, self.path, "new")
        return True

    async def _listen(self, document: AsyncDocument) -> None:
        try:
            async for change in document.changes():
                if not change.local:
                    self.nudge()
        except _errors.CodeStudioError:
            self.nudge()

    async def _reconcile(self) -> bool:
        """Carry over what differs; False where there is nothing to follow any more."""
        disk = await self._read()
        if disk.problem:
            if disk.problem != self.problem:
                self.problem = disk.problem
                self._owner.tell(Told.SKIPPED, self.path, disk.problem)
            return True
        self.problem = ""
        document = self.document
        if document is None:
            self.nudge()  # it was not carried before, and is now
            return True
        if document.error is not None:
            raise document.error
        if disk.text is None and self.base is not None:
            return await self._removed_here(document)
        if disk.text is not None and disk.text != self.base:
            await self._take_in(document, disk.text)
        if document.text != self.base:
            await self._write(document)
        return True

    async def _take_in(self, document: AsyncDocument, text: str) -> None:
        """Make what an editor did to the file part of the document."""
        if document.role is Role.VIEWER:
            await self._set_aside(text, "unsent", "you may only read this project")
            self.base = text
            return
        # Not sent before it is remembered: a run that is killed in between would do it again.
        origin = await asyncio.to_thread(self._history.origin_of, text, self.base or "")
        with document.held():
            await _carry(document, origin, text)
            self.base = text
            await self._remember()
        self._owner.tell(Told.SENT, self.path, "")

    async def _write(self, document: AsyncDocument) -> None:
        """Make what others did to the document part of the file."""
        text, expected = document.text, self.base
        await self._remember()
        found = await asyncio.to_thread(self._owner.files.replace, self.path, text, expected)
        self.base, self._exact = text, False
        self._history.replaced(expected)
        if isinstance(found, Path):
            why = "what came in its place is no text"
            self._owner.tell(Told.KEPT, self.path, f"{why}; it is kept in {found}")
            return
        if found is None:
            self._owner.tell(Told.WRITTEN, self.path, "")
        elif found.text in (expected, text):
            await asyncio.to_thread(found.kept.unlink)
            self._owner.tell(Told.WRITTEN, self.path, "")
        elif expected is None or document.role is Role.VIEWER:
            await self._set_aside(found.kept, "conflicts", "it came to be on both sides at once")
        else:
            await self._take_found(document, found, expected)

    async def _take_found(self, document: AsyncDocument, found: Found, expected: str) -> None:
        """Take in what an editor, faster by a moment, made of what stood in the file."""
        origin = await asyncio.to_thread(self._history.origin_of, found.text, expected)
        with document.held():
            await _carry(document, origin, found.text)
            await self._remember()
        # Only now: whatever happens before, the next run finds it.
        await asyncio.to_thread(found.kept.unlink)
        self.nudge()
        self._owner.tell(Told.SENT, self.path, "")

    async def _removed_here(self, document: AsyncDocument) -> bool:
        """Delete the document, unless others changed what was removed; False when it is gone."""
        base = self.base or ""
        may = document.text == base and document.role is not Role.VIEWER
        if may and await self._owner.delete(self.path, base):
            await self._close(0)
            await asyncio.to_thread(self._owner.records.drop, self.path)
            self._owner.tell(Told.DELETED, self.path, "")
            self._owner.let_go(self.path)
            return False
        self.base = None
        await self._write(document)
        return True

    async def _deleted_elsewhere(self) -> None:
        """Take in that the document is gone: its file goes too, if it was not changed."""
        record = self._record
        base, self.base = self.base, None
        document = self.document
        unsent = self._owed if document is None else document.unstored
        self._owed = False
        if document is None and record is not None and record.confirmed is None and base:
            disk = await asyncio.to_thread(self._owner.files.read, self.path)
            if disk.text == base:
                # Nobody can tell whether the others ever saw it.
                await self._set_aside(base, "conflicts", "the project deleted it")
        await self._close(0)
        await asyncio.to_thread(self._owner.records.drop, self.path)
        if base is None or unsent:
            return
        if await asyncio.to_thread(self._owner.files.remove, self.path, base):
            self._owner.tell(Told.REMOVED, self.path, "")

    async def _read(self) -> Content:
        """Read the file. Raises _DoubtfulError while it may just be being written."""
        content = await asyncio.to_thread(self._owner.files.read, self.path)
        doubtful = self.base not in (None, "") and content.text in (None, "")
        now = asyncio.get_running_loop().time()
        if not content.problem and (doubtful or not content.settled):
            self._doubted = now if self._doubted is None else self._doubted
            left = self._doubted + _DOUBTFUL - now
            if left > 0:
                raise _DoubtfulError(left if content.settled else 0)
        self._doubted = None
        return content

    async def _remember(self, document: AsyncDocument | None = None) -> None:
        document = document or self.document
        if document is None:
            return
        record = self._record_of(document)
        owed = document.unstored
        await asyncio.to_thread(self._owner.records.put, record)
        self._exact, self._owed = True, owed

    def _record_of(self, document: AsyncDocument) -> Record:
        epoch, state = document.saved()
        former = self._history.to_remember()
        return Record(self.path, epoch, state, self.base, document.session.confirmed, former)

    async def _set_aside(self, text: str | Path, under: str, why: str) -> None:
        kept = await asyncio.to_thread(self._owner.files.set_aside, self.path, text, under=under)
        self._owner.tell(Told.KEPT, self.path, f"{why}; this folder's is kept in {kept}")

    async def _close(self, seconds: float) -> bool:
        document, self.document = self.document, None
        stored = True
        if document is not None:
            try:
                await document.close(seconds)
            except _errors.CodeStudioError:
                stored = False
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening], timeout=1)
            self._listening = None
        return stored


async def _carry(document: AsyncDocument, base: str, text: str) -> None:
    """Make what was done to `base` to get `text` part of a document that others edit meanwhile."""
    for _ in range(_CARRIED):
        current = document.text
        own = await asyncio.to_thread(edits.carried, base, text, current)
        if document.text == current:
            document.edit(own)
            return
    document.set_text(text, base=base)  # it does not stand still: at once, then
