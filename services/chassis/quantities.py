"""Kubernetes quantities: ``500m`` of CPU, ``2Gi`` of memory or disk.

The one place they are read and written. The grammar is Kubernetes' own
(https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/)
without signs, milli-bytes and fractions of a millicore, which no request
means on purpose.
"""

import decimal
import re

MAX_BYTES = 2**63 - 1
"""The largest size, the limit of Kubernetes and of MongoDB's integers."""

MAX_EXACT = 2**53
"""The largest size that may be set or reserved: up to here doubles are exact, in which scripts
in Redis and JSON compute."""

MAX_MILLICORES = 2**31 - 1
"""The largest CPU, the limit of the contracts' int32."""

_NUMBER = re.compile(r"(?P<number>\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?P<unit>[A-Za-z0-9+-]{0,8})")
_EXPONENT = re.compile(r"[eE](?P<power>[+-]?\d{1,2})")
_BINARY = {unit: 1024**power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)}
_DECIMAL = {unit: 1000**power for power, unit in enumerate(("k", "M", "G", "T", "P", "E"), 1)}
_BYTES = {"": 1, **_BINARY, **_DECIMAL}


def parse_cpu(text: str) -> int:
    """Read CPU such as ``500m``, ``0.5`` or ``2`` as millicores.

    Raises:
        ValueError: The text is no such quantity, is negative, finer than a
            millicore or beyond `MAX_MILLICORES`; says which.

    """
    number, unit = _split(text, "CPU", "500m or 2")
    scale = {"m": decimal.Decimal(1), "": decimal.Decimal(1000)}.get(unit) or _exponent(unit, 1000)
    if scale is None:
        raise ValueError(f"CPU {text!r}: unknown unit {unit!r}; write it like 500m or 2")
    millicores = number * scale
    if millicores != millicores.to_integral_value():
        raise ValueError(f"CPU {text!r} is finer than 1m")
    if millicores > MAX_MILLICORES:
        raise ValueError(f"CPU {text!r} is too large")
    return int(millicores)


def parse_memory(text: str) -> int:
    """Read a size of memory or disk such as ``2Gi``, ``512Mi`` or ``1.5G`` as bytes.

    Raises:
        ValueError: The text is no such quantity, is negative, no whole number
            of bytes or beyond `MAX_BYTES`; says which.

    """
    number, unit = _split(text, "size", "512Mi or 2Gi")
    factor = _BYTES.get(unit)
    scale = decimal.Decimal(factor) if factor is not None else _exponent(unit, 1)
    if scale is None:
        hint = unit[:1].upper() + "i"
        meant = f"; did you mean {hint}?" if hint in _BINARY else "; write it like 512Mi or 2Gi"
        raise ValueError(f"size {text!r}: unknown unit {unit!r}{meant}")
    size = number * scale
    if size != size.to_integral_value():
        raise ValueError(f"size {text!r} is no whole number of bytes")
    if size > MAX_BYTES:
        raise ValueError(f"size {text!r} is too large")
    return int(size)


def format_cpu(millicores: int) -> str:
    """Write millicores the shortest way: ``500m``, ``2``."""
    if millicores < 0:
        raise ValueError(f"CPU {millicores}m is negative")
    return f"{millicores}m" if millicores % 1000 else str(millicores // 1000)


def format_memory(size: int) -> str:
    """Write bytes with the largest binary unit that keeps them whole: ``2Gi``, ``1536Mi``."""
    if size < 0:
        raise ValueError(f"size {size} is negative")
    for unit, factor in reversed(_BINARY.items()):
        if size >= factor and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def _split(text: str, what: str, example: str) -> tuple[decimal.Decimal, str]:
    if text.startswith("-"):
        raise ValueError(f"{what} {_short(text)} is negative")
    match = _NUMBER.fullmatch(text)
    if match is None or not text.isascii():
        raise ValueError(f"{what} {_short(text)} is no quantity; write it like {example}")
    return decimal.Decimal(match["number"]), match["unit"]


def _exponent(unit: str, base: int) -> decimal.Decimal | None:
    match = _EXPONENT.fullmatch(unit)
    return base * decimal.Decimal(10) ** int(match["power"]) if match else None


def _short(text: str) -> str:
    # Messages travel in HTTP headers: a client's text must not fill them.
    return repr(text if len(text) <= 40 else text[:40] + "…")
