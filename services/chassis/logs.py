"""Logs: one JSON object a line on standard output, our own and every library's.

The keys ``timestamp`` (``%Y-%m-%dT%H:%M:%S.%LZ``), ``level``, ``message``,
``service``, ``request_id`` and ``trace_id`` are what the specification's log
pipeline reads.
"""

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

from services.chassis import clock, context, telemetry

_QUIET = ("asyncio", "httpx", "opentelemetry", "pymongo", "motor")
"""Libraries whose information is of no use to those who run the product."""


def configure(service: str, level: str, stream: TextIO | None = None) -> None:
    """Send all logging of the process, structlog's and the standard library's, one way.

    Args:
        service: Name of the service, written into every line.
        level: Least important level to write: debug, info, warning or error.
        stream: Where to; standard output by default.

    """
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        structlog.processors.UnicodeDecoder(),
        structlog.processors.EventRenamer("message"),
        _Context(service),
    ]
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
            ],
        )
    )
    logging.getLogger().handlers = [handler]
    set_level(level)
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def set_level(level: str) -> None:
    """Change the least important level that is written: debug, info, warning or error."""
    root = logging.getLogger()
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


class _Context:
    """Puts what is known about the request first in every line."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        request = context.current()
        line: EventDict = {
            "timestamp": clock.iso(clock.now()),
            "level": event.pop("level", method),
            "message": event.pop("message", ""),
            "service": self._service,
        }
        if request.request_id:
            line["request_id"] = request.request_id
        if trace_id := telemetry.current_trace_id() or request.trace_id:
            line["trace_id"] = trace_id
        line.update(event)
        return line
