"""What a service logs, caught in a test."""

import contextlib
import io
import logging
from collections.abc import Iterator

import structlog

from services.chassis import logs


@contextlib.contextmanager
def logged(service: str) -> Iterator[io.StringIO]:
    """Log as a service does, into a buffer; afterwards logging is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    buffer = io.StringIO()
    logs.configure(service, "info", buffer)
    try:
        yield buffer
    finally:
        root.handlers = handlers
        root.setLevel(level)
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()
