"""A Redis client that gives up in time: every call is bounded, and nothing waits for a server that is not there."""

from typing import Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from shared.runtime.process.environment import split_url

REDIS_LIMIT_S: Final = 1.0


def redis_client(url: str) -> Redis:
    """A client for `redis://[user:password@]host[:port]`; the caller closes it. Connects when first used.

    Raises `SettingsError` for what cannot be read as a URL.
    """
    split_url(url, "the Redis URL")
    return Redis.from_url(
        url,
        socket_timeout=REDIS_LIMIT_S,
        socket_connect_timeout=REDIS_LIMIT_S,
        retry=Retry(NoBackoff(), 0),
        decode_responses=False,
    )


def redis_address_of(url: str) -> str:
    """Host and port of a Redis URL; never the user or the password. Raises `SettingsError`."""
    parts = split_url(url, "the Redis URL")
    return f"{parts.hostname or 'localhost'}:{parts.port or 6379}"
