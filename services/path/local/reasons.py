"""What the system says in numbers: for people, and whom it concerns."""

import errno
import os

_WORDS = {
    errno.EACCES: "permission denied",
    errno.EPERM: "not permitted",
    errno.EROFS: "the file system is read-only",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be too large",
    errno.ENOENT: "does not exist",
    errno.ENOTDIR: "not a directory",
    errno.ELOOP: "links go round in circles",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EMFILE: "too many files are open",
    errno.ENFILE: "too many files are open",
    errno.EIO: "the disk reports an error",
    errno.ESTALE: "the file system is not there any more",
}

_OURS = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}


def is_ours(error: OSError) -> bool:
    """Whether an error says something of this process, and nothing of the file."""
    return error.errno in _OURS


def raise_ours(error: OSError) -> None:
    """Raise an error again that `is_ours`."""
    if is_ours(error):
        raise error


def of(error: OSError) -> str:
    """Say why something failed, with the system's own name for it.

    >>> of(OSError(errno.ENOSPC, "No space left on device"))
    'the disk is full (ENOSPC)'
    """
    number = error.errno or 0
    name = errno.errorcode.get(number, str(number))
    return f"{_WORDS.get(number) or os.strerror(number).lower()} ({name})"
