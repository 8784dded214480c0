"""Settings of the collaboration service."""

import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field

from services.chassis.settings import Configured, ServiceSettings

_MIB = 1024**2
_DAY = 86_400.0


class CollaborationSettings(ServiceSettings):
    """What the collaboration service reads beside what every service reads."""

    microservice_name: str = "collaboration-service"
    """Name of the service."""

    port: int = Field(default=3004, ge=0, le=65535)
    """Port of the service."""

    grpc_max_receive_bytes: int = Field(default=20 * _MIB, ge=1024)
    """Largest message accepted: a document may be opened with 16 MiB."""

    grpc_max_send_bytes: int = Field(default=80 * _MIB, ge=1024)
    """Largest message sent: joining a document gives all of it at once."""

    replica_id: str = ""
    """Name of this replica, which its entries in the log begin their ids with; what tells its
    processes apart is added to it."""

    document_max_bytes: int = Field(default=64 * _MIB, ge=1024)
    """Largest state of a document, its deleted text's traces included; past it, edits are
    refused."""

    update_max_bytes: int = Field(default=4 * _MIB, ge=1024)
    """Largest single update or message of a client."""

    rooms_kept: int = Field(default=400, ge=1)
    """Documents in memory that nobody has open; more, and the longest unused are let go."""

    rooms_max: int = Field(default=5000, ge=1)
    """Documents in memory at all; opening one more is refused."""

    rooms_namespace_share: float = Field(default=0.8, gt=0, le=1)
    """Share of `rooms_max` that the documents of one namespace may take, rounded up: one namespace
    alone never fills a replica. 1 where there is only one."""

    quiet_seconds: float = Field(default=5.0, gt=0)
    """A document without edits for so long is stored as a snapshot."""

    unload_seconds: float = Field(default=300.0, gt=0)
    """A document that nobody has open is let go after so long."""

    snapshot_entries: int = Field(default=1000, ge=1)
    """A snapshot is stored after so many entries of the log, however busy the document is."""

    snapshot_bytes: int = Field(default=4 * _MIB, ge=1024)
    """A snapshot is stored after so many bytes of the log."""

    log_tick: float = Field(default=0.005, ge=0)
    """Edits of a document that come within so many seconds become one entry of the log; an edit
    that comes alone is stored at once."""

    log_give_up: float = Field(default=30.0, gt=0)
    """When nothing could be stored for so long, a document's clients are sent away with an
    error; they keep what is not stored, and bring it when they come again."""

    flush_per_stream: float = Field(default=0.00014, ge=0)
    """Seconds between two rounds of sending in a busy document, for each client on a stream of the
    port for gRPC: a frame to one costs about 40 microseconds, so a document takes a third of a core
    at most. What comes in between goes out as one frame."""

    flush_per_socket: float = Field(default=0.00005, ge=0)
    """The same for each client on the port for the web, on a stream or a WebSocket, where a frame
    costs a quarter of that."""

    backlog_bytes: int = Field(default=4 * _MIB, ge=1024)
    """Edits of a document kept for its slowest client; one that is further behind is
    resynchronised."""

    heartbeat_seconds: float = Field(default=15.0, gt=0)
    """Longest silence of a stream; the contract says at most 20."""

    awareness_seconds: float = Field(default=30.0, gt=0)
    """A cursor that is not renewed for so long is gone (y-protocols)."""

    awareness_max_bytes: int = Field(default=4 * _MIB, ge=1024)
    """Bytes of all cursors of a document; past it, a state larger than an equal share among the
    most clients there may be (419 bytes by default) is not taken."""

    collaboration_enabled: Annotated[bool, Configured("collaboration.enabled")] = True
    """Whether documents can be edited together (specification, collaboration)."""

    collaboration_sync_interval: Annotated[int, Configured("collaboration.sync_interval")] = Field(
        default=1000,
        ge=50,
        le=60_000,
        validation_alias=AliasChoices("real_time_sync_interval", "collaboration_sync_interval"),
    )
    """Milliseconds after the last edit until a Yjs editor's document is compared with ours
    (specification: REAL_TIME_SYNC_INTERVAL)."""

    collaboration_conflict_resolution: Annotated[
        Literal["auto", "reject"], Configured("collaboration.conflict_resolution")
    ] = "auto"
    """What SyncCode does about conflicts where the request does not say."""

    connection_share: float = Field(default=0.5, gt=0, le=1)
    """Part of a replica's time that one stream or WebSocket may use for long, by what it sends and
    asks for: about 5,000 small edits a second, or 100 MB of documents: a recorded session may
    be replayed as fast as it goes in."""

    connection_credit: float = Field(default=2.0, ge=0)
    """Seconds of a replica's time that it may use at once: 20,000 small edits, or 400 MB."""

    channels_max: int = Field(default=1000, ge=1)
    """Documents that one stream may have open at once."""

    access_seconds: float = Field(default=5.0, ge=0)
    """How long it is remembered whose an instance is."""

    messages_max_age: float = Field(default=7 * _DAY, gt=0)
    """How long messages are kept: how old a resume token may be."""

    messages_max_bytes: int = Field(default=1024 * _MIB, ge=_MIB)
    """Bytes of messages kept; past it the oldest go, and with them the tokens from before."""

    messages_request_age: float = Field(default=_DAY, gt=0)
    """How long the request_id of a message is remembered. JetStream holds them in memory."""

    states_max_age: float = Field(default=7 * _DAY, ge=1)
    """How long the last state of an instance, and the last change of a document, are kept."""

    events_kept: int = Field(default=2_000, ge=1)
    """Newest events of each stream kept in memory for subscribers; older ones are read from
    JetStream."""

    events_kept_bytes: int = Field(default=32 * _MIB, ge=1024)
    """Bytes of them at most."""

    subscribe_pace: float = Field(default=0.05, ge=0)
    """Seconds until a subscriber is told again after states and changes of code: of those that
    come in between, only the newest. Messages by themselves are told at once."""

    changes_every: float = Field(default=0.5, gt=0)
    """Seconds between two rounds of telling who changed what."""

    changes_lease: float = Field(default=5.0, gt=0)
    """Seconds until another replica takes over from one that told changes and died."""

    repositories: Path = Path()
    """Folder of the projects' Git repositories; by default ``repositories`` in `container_root`."""

    commit_quiet_seconds: float = Field(default=30.0, gt=0)
    """A document without edits for so long is committed."""

    commit_busy_seconds: float = Field(default=600.0, gt=0)
    """A document that is never quiet is committed so long after its first edit."""

    commit_together_seconds: float = Field(default=2.0, ge=0)
    """Documents of a project that go quiet within so long are one commit."""

    commit_every: float = Field(default=1.0, gt=0)
    """Seconds between two looks for what is to be committed."""

    commit_lease: float = Field(default=15.0, gt=0)
    """Seconds until another replica takes over a project from one that died committing it."""

    @property
    def rooms_max_per_namespace(self) -> int:
        """Documents of one namespace in memory at all."""
        return math.ceil(self.rooms_max * self.rooms_namespace_share)

    @property
    def repository_root(self) -> Path:
        """Folder of the projects' Git repositories."""
        if self.repositories != Path():
            return self.repositories
        return self.container_root / "repositories"
