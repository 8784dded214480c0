"""What edge reads from the environment beyond what every service does."""

from pathlib import Path

from pydantic import Field

from services.chassis.settings import ServiceSettings


class EdgeSettings(ServiceSettings):
    """Settings of edge. Times are in seconds."""

    microservice_name: str = Field(default="edge-service", min_length=1)
    """Name of the service."""

    port: int = Field(default=3007, ge=0, le=65535)
    """Where Envoy reaches us."""

    session_seconds: int = Field(default=12 * 3600, ge=60)
    """How long a browser stays signed in: a working day and its evening."""

    link_seconds: int = Field(default=3600, ge=60)
    """How long a sign-in link may wait to be opened."""

    access_fresh_seconds: float = Field(default=3.0, gt=0)
    """How long an answer of the Instance service about an editor is used without asking again.
    A page of VS Code makes a hundred requests in a second."""

    access_stale_seconds: float = Field(default=600.0, ge=0)
    """How long the last answer is used when the control plane cannot be asked, so that open
    editors stay open while it is down."""

    web_assets: Path | None = None
    """Folder of the built scripts of pages; without them there is no page to edit documents."""

    editor_host: str = "127.0.0.1"
    """Where editors listen; in Kubernetes their Service, such as ``editor-{id}.codestudio``."""
