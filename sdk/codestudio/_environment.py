"""The only module that reads the process environment."""

import dataclasses
import os
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Environment:
    """What the environment says about where to connect and as whom."""

    gateway: str
    """CODESTUDIO_GATEWAY: address of the gateway; empty if unset."""

    token: str
    """CODESTUDIO_TOKEN: bearer token; empty if unset."""

    data_dir: Path | None
    """CODESTUDIO_DATA_DIR: data directory of a local stack."""

    config_file: Path
    """`codestudio/config` in XDG_CONFIG_HOME, which is ~/.config if unset."""

    def __repr__(self) -> str:
        return f"Environment(gateway={self.gateway!r}, data_dir={self.data_dir!r})"


def read() -> Environment:
    """Read the environment as it is now."""
    data_dir = os.environ.get("CODESTUDIO_DATA_DIR", "")
    config_home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Environment(
        gateway=os.environ.get("CODESTUDIO_GATEWAY", "").strip(),
        token=os.environ.get("CODESTUDIO_TOKEN", "").strip(),
        data_dir=Path(data_dir).expanduser() if data_dir else None,
        config_file=Path(config_home).expanduser() / "codestudio" / "config",
    )
