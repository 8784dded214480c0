"""The files of this machine.

Paths are never opened as a whole: each name is opened beneath the directory before it, and no
link is followed by the system. Whatever is exchanged for a link while a call runs, the call sees
the one or the other, and in neither case anything outside.
"""

from services.path.local.files import LocalFiles

__all__ = ["LocalFiles"]
