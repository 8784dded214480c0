"""Settings of the collaboration service."""

from typing import Annotated, Literal

from pydantic import Field

from services.chassis.settings import Configured, ServiceSettings

_MIB = 1024**2


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
    """Name of this process among the replicas; a random one by default. It must not be used by
    two at once."""

    document_max_bytes: int = Field(default=64 * _MIB, ge=1024)
    """Largest state of a document, its deleted text's traces included; past it, edits are
    refused."""

    update_max_bytes: int = Field(default=4 * _MIB, ge=1024)
    """Largest single update or message of a client."""

    rooms_kept: int = Field(default=400, ge=1)
    """Documents in memory that nobody has open; more, and the longest unused are let go."""

    rooms_max: int = Field(default=5000, ge=1)
    """Documents in memory at all; opening one more is refused."""

    quiet_seconds: float = Field(default=5.0, gt=0)
    """A document without edits for so long is stored as a snapshot."""

    unload_seconds: float = Field(default=300.0, gt=0)
    """A document that nobody has open is let go after so long."""

    snapshot_entries: int = Field(default=1000, ge=1)
    """A snapshot is stored after so many entries of the log, however busy the document is."""

    snapshot_bytes: int = Field(default=4 * _MIB, ge=1024)
    """A snapshot is stored after so many bytes of the log."""

    log_tick: float = Field(default=0.005, ge=0)
    """Edits of a document that come within so many seconds become one entry of the log."""

    log_give_up: float = Field(default=30.0, gt=0)
    """When nothing could be stored for so long, a document's clients are sent away with an
    error; they keep what is not stored, and bring it when they come again."""

    flush_per_client: float = Field(default=0.0001, ge=0)
    """Seconds between two rounds of sending in a document, for each of its clients: a round to a
    hundred costs about 4 ms of a core, so it comes every 10 ms at most. What comes in between
    goes out as one frame."""

    backlog_bytes: int = Field(default=4 * _MIB, ge=1024)
    """Edits of a document kept for its slowest client; one that is further behind is
    resynchronised."""

    heartbeat_seconds: float = Field(default=15.0, gt=0)
    """Longest silence of a stream; the contract says at most 20."""

    awareness_seconds: float = Field(default=30.0, gt=0)
    """A cursor that is not renewed for so long is gone (y-protocols)."""

    collaboration_enabled: Annotated[bool, Configured("collaboration.enabled")] = True
    """Whether documents can be edited together (specification, collaboration)."""

    collaboration_sync_interval: Annotated[int, Configured("collaboration.sync_interval")] = Field(
        default=1000, ge=50, le=60_000
    )
    """Milliseconds after the last edit until a Yjs editor's document is compared with ours."""

    collaboration_conflict_resolution: Annotated[
        Literal["auto", "reject"], Configured("collaboration.conflict_resolution")
    ] = "auto"
    """What SyncCode does about conflicts where the request does not say."""

    channels_max: int = Field(default=1000, ge=1)
    """Documents that one stream may have open at once."""
