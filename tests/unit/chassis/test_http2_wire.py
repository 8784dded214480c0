"""What gRPC puts into HTTP/2."""

import pytest

from services.chassis.http2 import wire


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_messages_are_cut_wherever_they_arrive_in_pieces(step: int) -> None:
    """However their bytes come, they are those that were sent."""
    sent = [b"", b"a", b"b" * 300, b"", b"c" * 5]
    stream = b"".join(map(wire.message, sent))
    messages = wire.Messages(300)
    found = []
    for at in range(0, len(stream), step):
        found += messages.cut(stream[at : at + step])
    assert found == sent


def test_what_is_too_large_is_refused_by_its_length_alone() -> None:
    """Before any of it is kept; what came before it is there."""
    messages = wire.Messages(10)
    cutting = messages.cut(wire.message(b"x") + b"\0" + (11).to_bytes(4))
    assert next(cutting) == b"x"
    with pytest.raises(wire.Oversized, match=r"11 vs\. 10"):
        next(cutting)


def test_what_is_compressed_is_refused() -> None:
    """Nobody was offered that."""
    with pytest.raises(wire.Compressed):
        list(wire.Messages(10).cut(b"\1\0\0\0\1x"))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"1S", 1.0),
        (b"100m", 0.1),
        (b"2H", 7200.0),
        (b"5M", 300.0),
        (b"7u", 7e-6),
        (b"7n", 7e-9),
        (b"99999999S", 99999999.0),
        (b"", None),
        (b"1", None),
        (b"-1S", None),
        (b"100000000S", None),
        (b"1s", None),
    ],
)
def test_timeouts(value: bytes, seconds: float | None) -> None:
    """As the protocol writes them; what is none is no limit."""
    assert wire.timeout(value) == pytest.approx(seconds)


def test_metadata_goes_both_ways() -> None:
    """Text as it is, bytes in base64 with and without padding; the protocol's own stays out."""
    given = [
        (b":path", b"/x/y"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        (b"grpc-timeout", b"1S"),
        (b"x-one", b"a b"),
        (b"x-two-bin", b"AAE"),
        (b"x-three-bin", b"AAE="),
        (b"x-bad-bin", b"?"),
        (b"x-bad", b"\xff"),
    ]
    found = wire.metadata(given)
    assert found == (("x-one", "a b"), ("x-two-bin", b"\0\1"), ("x-three-bin", b"\0\1"))
    assert wire.fields(found[:2]) == [(b"x-one", b"a b"), (b"x-two-bin", b"AAE")]


def test_a_status_says_what_it_means_in_any_language() -> None:
    """Its message is percent-encoded."""
    assert wire.status(0, "") == [(b"grpc-status", b"0")]
    assert wire.status(5, "100% für\n") == [
        (b"grpc-status", b"5"),
        (b"grpc-message", b"100%25 f%C3%BCr%0A"),
    ]
