"""Where a stack keeps its files: everything under one private data directory."""

import dataclasses
import hashlib
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
"""The root of the source tree; programs run from here."""

DEFAULT_DATA_DIR = REPOSITORY / ".codestudio"
"""Where `up` and `down` look when no `--data-dir` is given."""

# sockaddr_un holds 108 bytes; supervisor first binds "<path>.<pid>" and renames it.
_SOCKET_PATH_MAX = 108 - len(".4194304") - 1


class DataDirError(Exception):
    """The data directory cannot be made or written; the message says why and the way out."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """Names every file and directory of one stack."""

    root: Path
    """The data directory, absolute."""

    @classmethod
    def of(cls, data_dir: Path) -> "Layout":
        """Give the layout of `data_dir`, made absolute so that it holds in any program."""
        return cls(data_dir.expanduser().resolve())

    @property
    def secrets(self) -> Path:
        """Keys and tokens, readable by the owner only."""
        return self.root / "secrets"

    @property
    def data(self) -> Path:
        """One directory a database: what must survive `down`."""
        return self.root / "data"

    @property
    def instances(self) -> Path:
        """The instances' disks, written by the resource service."""
        return self.root / "instances"

    @property
    def workloads(self) -> Path:
        """The resource service's records of the processes it runs."""
        return self.root / "workloads"

    @property
    def logs(self) -> Path:
        """One rotated log a program."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Derived files of the running stack; rebuilt by every `up`."""
        return self.root / "run"

    @property
    def programs(self) -> Path:
        """One start script a program."""
        return self.run / "programs"

    @property
    def gateway(self) -> Path:
        """Envoy's configuration of this stack; Envoy is started in it."""
        return self.run / "envoy"

    @property
    def supervisor_config(self) -> Path:
        """What supervisor is started with."""
        return self.run / "supervisord.conf"

    @property
    def supervisor_pid(self) -> Path:
        """The supervisor's pid, which is also the session id of every program it started."""
        return self.run / "supervisord.pid"

    @property
    def supervisor_socket(self) -> Path:
        """The supervisor's control socket: in `run`, or in the temporary directory if too long."""
        path = self.run / "supervisor.sock"
        if len(bytes(path)) <= _SOCKET_PATH_MAX:
            return path
        name = hashlib.sha256(bytes(self.root)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"codestudio-{name}.sock"

    @property
    def lock(self) -> Path:
        """Held by `up` and `down`, so that only one of them changes the stack at a time."""
        return self.root / "lock"

    @property
    def record(self) -> Path:
        """`stack.json`: what clients beside the stack read to need no configuration."""
        return self.root / "stack.json"

    def create(self) -> None:
        """Make every directory; the data directory and the secrets are the owner's alone.

        Raises DataDirError.
        """
        try:
            self._create()
        except OSError as error:
            raise DataDirError(
                f"{self.root} cannot be the data directory ({error.strerror}: {error.filename}): "
                "name one you may write with --data-dir"
            ) from error

    def _create(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o700)
        for directory in (
            *(self.data / name for name in ("valkey", "nats", "mongo", "envoy")),
            self.instances,
            self.workloads,
            self.logs,
            self.programs,
            self.gateway,
        ):
            directory.mkdir(parents=True, exist_ok=True)
        self.secrets.mkdir(exist_ok=True)
        self.secrets.chmod(0o700)
