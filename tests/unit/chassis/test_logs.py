import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
import structlog

from services.chassis import context
from tests import logged


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    with logged.logged("quota-service") as buffer:
        yield buffer


def _lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_what_the_log_filter_reads(stream: io.StringIO) -> None:
    """One JSON object with time, level, message, service and the request's ids."""
    context.enter(context.RequestContext(request_id="r-1", trace_id="ab" * 16))
    structlog.get_logger("a.b").info("reserved", instance_id="i", cpu=500)
    context.enter(context.RequestContext())
    (line,) = _lines(stream)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(line.pop("timestamp")))
    assert line == {
        "level": "info",
        "message": "reserved",
        "service": "quota-service",
        "request_id": "r-1",
        "trace_id": "ab" * 16,
        "logger": "a.b",
        "instance_id": "i",
        "cpu": 500,
    }


def test_libraries_log_the_same_way(stream: io.StringIO) -> None:
    """Through the standard library, with arguments and exceptions, one line each."""
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("library").exception("failed %s", "badly")
    (line,) = _lines(stream)
    assert line["message"] == "failed badly"
    assert line["level"] == "error"
    assert "ValueError: two\nlines" in str(line["exception"])


def test_what_cannot_be_json_is_still_logged(stream: io.StringIO) -> None:
    """A log call never fails for its arguments."""
    structlog.get_logger().warning("odd", what=object(), key={1, 2}, raw=b"x")
    assert len(_lines(stream)) == 1


def test_less_important_lines_are_left_out(stream: io.StringIO) -> None:
    """Below the level nothing is written."""
    structlog.get_logger().debug("detail")
    logging.getLogger("library").debug("detail")
    logging.getLogger("asyncio").info("chatter")
    assert _lines(stream) == []
