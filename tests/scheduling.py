"""Which tests run in the same process where there are several."""

from pathlib import PurePosixPath

from xdist.scheduler import LoadScopeScheduling

_ONE_STACK = ("tests/e2e", "tests/chaos")
_OWN_STACK = ("tests/e2e/test_idle.py",)


class ByFolder(LoadScopeScheduling):
    """Runs tests side by side, those that share servers one after another in one process."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        if file in _OWN_STACK:
            return file
        folder = str(PurePosixPath(file).parent)
        return _ONE_STACK[0] if folder in _ONE_STACK else folder
