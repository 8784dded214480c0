"""Looks at single paths of an instance."""

import errno
import os
import stat

from services.path.filesystem import Finding
from services.path.local import beneath, reasons
from services.path.names import Parts

_ABSENT = Finding(exists=False, reason="does not exist")


def inspect(root: beneath.Root, path: Parts) -> Finding:
    """Look at a path, from the instance's own directory."""
    try:
        with beneath.following(root, path) as descriptor:
            return _look(descriptor)
    except beneath.OutsideError:
        return Finding(exists=False, reason="a link on the way leads outside the instance")
    except OSError as error:
        return missing(error)


def missing(error: OSError) -> Finding:
    """Say what it means that a path cannot be opened. Raises it again where it means nothing."""
    reasons.raise_ours(error)
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return _ABSENT
    return Finding(exists=False, reason=f"cannot be reached: {reasons.of(error)}")


def _look(descriptor: int) -> Finding:
    is_directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
    # By this name the file itself is asked about, not whatever has its path by now.
    name = f"/proc/self/fd/{descriptor}"
    needed = {"read": os.R_OK, "written": os.W_OK}
    if is_directory:
        needed["entered"] = os.X_OK
    lacking = [what for what, mode in needed.items() if not os.access(name, mode)]
    return Finding(
        exists=True,
        accessible=not lacking,
        reason=f"cannot be {' or '.join(lacking)}" if lacking else "",
        is_directory=is_directory,
    )
