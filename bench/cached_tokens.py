"""Measure the guard's look-up of a cached token in this process, with a million tokens cached."""

import os
import random
import time
from typing import Final

import msgspec
import psutil
from prometheus_client import CollectorRegistry

from bench.report import Figure
from shared.contract.introspection import AUDIENCE, Active, Grant
from shared.contract.token import ACCESS_TOKEN, digest, mint
from shared.guard.guard import Guard, _Answer
from shared.guard.lease import Lease
from shared.guard.metrics import GuardMetrics
from shared.runtime.process.clock import elapsed_s

CACHED: Final = 1_000_000
TOKENS: Final = 20_000
"""The cached tokens that are looked up, in random order; the others are only there."""
MOST_HIT_US: Final = 20.0


def cached_figures() -> list[Figure]:
    """Fill a guard's cache, and look tokens up in it."""
    lease = Lease(elapsed_s)
    lease.renew(elapsed_s(), 3600.0)
    guard = Guard(_introspect, lease, GuardMetrics(CollectorRegistry()), clock=elapsed_s)
    tokens, process = [mint(ACCESS_TOKEN) for _ in range(TOKENS)], psutil.Process()
    before = process.memory_info().rss
    for number in range(CACHED - TOKENS):
        guard._remember(os.urandom(32), _Answer(_grant(number), elapsed_s()))
    for number, token in enumerate(tokens):
        guard._remember(digest(token), _Answer(_grant(CACHED + number), elapsed_s()))
    memory = process.memory_info().rss - before
    random.shuffle(tokens)
    started = time.perf_counter()
    hits = sum(guard.recall(token) is not None for token in tokens)
    took_s = time.perf_counter() - started
    part, what = "cached tokens", f"with {CACHED} tokens"
    return [
        Figure(part, f"look-up {what}", took_s / TOKENS * 1_000_000, "µs", most=MOST_HIT_US),
        Figure(part, f"hits of {TOKENS} look-ups {what}", hits, "", least=TOKENS),
        Figure(part, f"memory {what}", memory / 1024**2, "MiB"),
        Figure(part, "memory of a token", memory / CACHED, "bytes"),
    ]


async def _introspect(_token: str) -> Grant | None:
    return None


def _grant(number: int) -> Grant | None:
    active = Active(
        active=True,
        scope="polls:read,vote:PLAT polls:results:DOCS",
        client_id=f"tok_{number:016}",
        token_type="Bearer",  # noqa: S106 - the name of a scheme
        iat=1_700_000_000,
        exp=4_000_000_000,
        iss="https://tokens.example.com",
        aud=AUDIENCE,
        jti=f"sec_{number:016}",
        site=f"site_{number % 100:08}",
        endpoint_id=f"{number % 100:027}",
        as_of=number,
    )
    return Grant.read(msgspec.json.encode(active))
