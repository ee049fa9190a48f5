"""Measure how long the event loop is blocked by reading the worst bodies of the permitted size."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

import msgspec

from bench.report import Figure
from services.polls.payloads.batch import Batch
from services.polls.payloads.polls import CreatePoll
from services.polls.routes import MAX_BATCH_BYTES
from services.token_authority.payloads.introspection import IntrospectToken
from services.token_authority.payloads.revocation import LeakedTokens
from services.token_authority.payloads.token_requests import CreateToken
from services.token_authority.routes import MAX_FORM_BYTES
from shared.runtime.http.body import read_form, read_json
from shared.runtime.http.i_json import MAX_VALUES
from shared.runtime.http.problem import BadRequest, InvalidBody
from shared.runtime.http.routes import MAX_BODY_BYTES

ROUNDS: Final = 15
PASSES: Final = 20
SLOWEST: Final = 10
"""How often the slowest bodies are measured again, and how many of them."""
MOST_MS: Final = 5.0
_DEPTH: Final = 98


def worst_json_bodies(size: int) -> Mapping[str, bytes]:
    """Return bodies of up to `size` bytes that take long to read, by what they contain."""
    bodies = {
        f"{name} {where}": start + _fill(unit, values, size - 2 * _DEPTH - 20) + end
        for name, (unit, values) in _UNITS.items()
        for where, start, end in (("in a list", b"[", b"]"), ("nested deeply", b"[" * _DEPTH, b"]" * _DEPTH))
    }
    many = size - 2 * _DEPTH - 20
    strings = {
        "escapes": rb"\n",
        "escaped backslashes": rb"\\",
        "escaped quotes and commas": rb"\",",
        "surrogate pairs": rb"\ud83d\ude00",
        "commas": b",",
        "letters": b"x",
        "characters of two bytes": "é".encode(),
        "texts of an error": b" - at `$",
    }
    bodies |= {f"a string of {name}": b'["' + text * (many // len(text)) + b'"]' for name, text in strings.items()}
    bodies |= {
        f"half a surrogate pair after {name}": b'["' + text * (many // len(text)) + rb'\ud83d"]'
        for name, text in strings.items()
    }
    names = b",".join(b'"%x":0' % number for number in range(min(MAX_VALUES - 2, many // 9)))
    bodies |= {
        "distinct names": b"{" + names + b"}",
        "distinct names and a duplicate": b"{" + names + b',"0":0}',
        "invalid UTF-8 at the end": b'"' + b"x" * many + b'\xff"',
        "a long number": b"9" * many,
        "a long fraction": b"0." + b"1" * many,
        "not JSON at the end": b"[" + _fill(b"{}", 2, many),
    }
    return bodies


_UNITS: Final = {
    "empty objects": (b"{}", 2),
    "empty lists": (b"[]", 2),
    "short numbers": (b"1", 1),
    "numbers of 18 digits": (b"9" * 18, 1),
    "numbers of 20 digits": (b"9" * 20, 1),
    "fractions": (b"1.5", 1),
    "empty strings": (b'""', 1),
    "objects of one field": (b'{"":1}', 2),
    "objects of two fields": (b'{"":1,"a":1}', 3),
    "objects with a duplicate name": (b'{"":1,"":1}', 3),
    "lists around objects with a duplicate name": (b"[" * 50 + b'{"":1,"":1}' + b"]" * 50, 54),
    "nested lists": (b"[" * 50 + b"]" * 50, 51),
    "nested objects": (b'{"":' * 50 + b"1" + b"}" * 50, 51),
}
"""JSON values, and how many values the limit counts for each of them and a comma."""


def worst_forms(size: int) -> Mapping[str, bytes]:
    """Return forms of up to `size` bytes that take long to read, by what they contain."""
    texts = {"escapes": b"%41", "percent signs": b"%", "plus signs": b"+", "invalid UTF-8": b"%ff", "letters": b"x"}
    return {f"a form of {name}": b"token=" + text * ((size - 6) // len(text)) for name, text in texts.items()} | {
        "a form of many fields": b"&" * size
    }


def body_figures() -> list[Figure]:
    """Measure reading the worst bodies, as processor time, beside `msgspec.json.decode` of the same body."""
    figures: list[Figure] = []
    for size, kinds in {MAX_BODY_BYTES: (LeakedTokens, CreateToken, CreatePoll), MAX_BATCH_BYTES: (Batch,)}.items():
        bodies = worst_json_bodies(size)
        name, most_ms = _find_worst(
            {
                f"{name}, as {kind.__name__}": partial(read_json, body, kind)
                for kind in kinds
                for name, body in bodies.items()
            }
        )
        part, body = f"bodies of {size // 1024} KiB", bodies[name.rpartition(", as ")[0]]
        figures += [
            Figure(part, f"reading the worst ({name})", most_ms, "ms", most=MOST_MS),
            Figure(part, "msgspec.json.decode of it", _measure_ms(partial(msgspec.json.decode, body)), "ms"),
        ]
    forms = worst_forms(MAX_FORM_BYTES)
    name, most_ms = _find_worst({name: partial(read_form, form, IntrospectToken) for name, form in forms.items()})
    return [
        *figures,
        Figure(f"forms of {MAX_FORM_BYTES // 1024} KiB", f"reading the worst ({name})", most_ms, "ms", most=MOST_MS),
    ]


def _find_worst(readings: Mapping[str, Callable[[], Any]]) -> tuple[str, float]:
    """Return the reading that takes longest, and how long.

    The slowest ones are measured again, because a processor may be slower for some seconds than before and after.
    """
    took = {name: _measure_ms(read) for name, read in readings.items()}
    for _ in range(PASSES):
        for name in sorted(took, key=took.__getitem__)[-SLOWEST:]:
            took[name] = min(took[name], _measure_ms(readings[name]))
    return max(took.items(), key=lambda each: each[1])


def _measure_ms(read: Callable[[], Any]) -> float:
    """Return the least processor time of several calls, so that other load on the machine has little influence."""
    least_s = float("inf")
    for _ in range(ROUNDS):
        started = time.thread_time()
        with suppress(BadRequest, InvalidBody, msgspec.DecodeError):
            read()
        least_s = min(least_s, time.thread_time() - started)
    return least_s * 1000


def _fill(unit: bytes, values: int, size: int) -> bytes:
    """Return as many of these values, separated by commas, as the size and the limit of values allow."""
    return b",".join([unit] * min((MAX_VALUES - _DEPTH - 2) // values, size // (len(unit) + 1)))
