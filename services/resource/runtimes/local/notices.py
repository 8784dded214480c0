"""What our extension is to show, beneath an instance's directory."""

import contextlib
import json
import os
import secrets
from collections.abc import Mapping

from services.resource.runtimes.local.activity import ACTIVITY
from services.resource.runtimes.local.directories import Directories

_NAME = "notice.json"


def write_notice(directories: Directories, notice: Mapping[str, object] | None) -> None:
    """Put a notice where the extension looks, or take it away; blocks.

    Without that directory no extension looks. Nothing outside the instance is touched, whatever
    its owner put there; a disk that is full or a name that is taken costs only the notice.
    """
    try:
        place = directories.open_directory(*ACTIVITY)
    except OSError:
        return
    with contextlib.suppress(OSError), contextlib.ExitStack() as ending:
        ending.callback(os.close, place)
        if notice is None:
            os.unlink(_NAME, dir_fd=place)
            return
        unfinished = f".{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(unfinished, flags, 0o600, dir_fd=place), "w") as file:
            json.dump(notice, file)
        os.rename(unfinished, _NAME, src_dir_fd=place, dst_dir_fd=place)
