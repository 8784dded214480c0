"""A project as a folder sees it, through a client."""

from collections.abc import AsyncGenerator

from codestudio import _errors
from codestudio._activity_types import CodeEvent
from codestudio._client import AsyncClient
from codestudio._folder.records import Record
from codestudio._live.document import AsyncDocument


class ClientProject:
    """One project of a gateway."""

    def __init__(self, client: AsyncClient, project: str, namespace: str) -> None:
        self._client = client
        self._project = project
        self._namespace = namespace

    async def paths(self) -> set[str]:
        """Give the paths of its documents. Raises CodeStudioError."""
        listed = self._client.documents.list(self._project, self._namespace, page_size=1000)
        return {each.path async for each in listed}

    async def changed(self) -> AsyncGenerator[str | None, None]:
        """Give the path of each document that is created or changed, for ever.

        Begins with None, when from then on nothing is missed. Raises CodeStudioError.
        """
        async with self._client.documents.watch(self._project, self._namespace) as events:
            yield None
            async for event in events:
                if isinstance(event, CodeEvent) and not event.deleted:
                    yield event.path

    def open(self, path: str, content: str | None, saved: Record | None) -> AsyncDocument:
        """Give a document that is not open yet."""
        return self._client.documents.open(
            self._project,
            path,
            self._namespace,
            content=content,
            saved=None if saved is None else (saved.epoch, saved.state),
        )

    async def delete(self, path: str, text: str) -> bool:
        """Delete a document that has this text; False where it has another.

        Raises CodeStudioError.
        """
        documents = self._client.documents
        try:
            found = await documents.get(self._project, path, self._namespace)
            if found.text != text:
                return False
            # By its revision: what others do from here on is not deleted unseen.
            await documents.delete(self._project, path, self._namespace, revision=found.revision)
        except _errors.NotFound:
            return True
        except _errors.Aborted:
            return False
        return True
