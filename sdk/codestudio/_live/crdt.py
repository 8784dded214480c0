"""pycrdt, which is optional: loaded when the first document is opened, and checked."""

import functools
from types import ModuleType

from codestudio import _errors


@functools.cache
def load() -> ModuleType:
    """Give pycrdt.

    Raises NotConfigured when it is missing or counts text in other units than this package
    expects: a version that does would misplace every edit without a word.
    """
    try:
        import pycrdt
    except ModuleNotFoundError:
        raise _errors.NotConfigured(
            "live documents need pycrdt: pip install './sdk[live]' in the checkout",
            code="PYCRDT_MISSING",
        ) from None
    doc: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc()
    text = doc.get("content", type=pycrdt.Text)
    text.insert(0, "é🙂")
    deltas: list[object] = []
    subscription = text.observe(lambda event: deltas.append(getattr(event, "delta", None)))
    text.insert(2, "x")
    text.unobserve(subscription)
    if str(text) != "éx🙂" or len(text) != 7 or deltas != [[{"retain": 2}, {"insert": "x"}]]:
        raise _errors.NotConfigured(
            "this version of pycrdt does not count text in bytes of UTF-8, as this package "
            "expects: install the one sdk/pyproject.toml names",
            code="PYCRDT_UNSUITABLE",
        )
    return pycrdt
