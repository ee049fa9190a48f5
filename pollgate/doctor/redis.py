"""Examine Redis as one service sees it: whether it answers, and what its user may do."""

from collections.abc import Sequence
from typing import Final

from pollgate.doctor.certificates import examine_certificate
from pollgate.doctor.finding import Examination, Finding
from services.polls.operations.address_limits import VOTERS_PREFIX
from services.polls.tasks.poll_feed import POLLS_CHANNEL
from shared.contract.redis_names import CHANGES_CHANNEL, rate_limit_prefix, ticket_prefix
from shared.runtime.process.environment import SettingsError
from shared.runtime.redis.address import read_redis_url
from shared.runtime.redis.client import Command, RedisClient, redis_client
from shared.runtime.redis.errors import RedisUnavailable

AUTHORITY_COMMANDS: Final[Sequence[Command]] = (("EXISTS", f"{rate_limit_prefix('authority')}:doctor"),)
POLLS_COMMANDS: Final[Sequence[Command]] = (
    ("EXISTS", f"{rate_limit_prefix('polls')}:doctor"),
    ("GETDEL", f"{ticket_prefix('polls')}:doctor"),
    ("SCARD", f"{VOTERS_PREFIX}:doctor"),
)
POLLS_CHANNELS: Final = (CHANGES_CHANNEL, POLLS_CHANNEL)
"""The commands and channels show what the user of a service may do. None of them changes anything."""

_FOREIGN: Final[Command] = ("EXISTS", "another-application:doctor")
_RIGHTS: Final = "give the user the rights in docs/redis.md"


async def examine_redis(part: str, url: str, commands: Sequence[Command], channels: Sequence[str]) -> list[Finding]:
    """Return what is found about Redis at this URL, for a user that needs these commands and channels."""
    examination = Examination(part)
    if not url:
        examination.skip(
            "server", "REDIS_URL is not set", "run this where the service runs, with its environment, or set REDIS_URL"
        )
        return examination.findings
    try:
        address = read_redis_url(url)
        async with redis_client(url) as redis:
            await redis.ping()
            examination.ok("server", f"answers at {redis.address}")
            if address.is_tls:
                await examine_certificate(examination, *address.hosts[0])
            await _examine_rights(examination, redis, commands, channels)
    except RedisUnavailable as error:
        examination.fail("server", str(error), "start Redis, or correct REDIS_URL")
    except SettingsError as error:
        examination.fail("server", str(error), "correct REDIS_URL")
    return examination.findings


async def _examine_rights(
    examination: Examination, redis: RedisClient, commands: Sequence[Command], channels: Sequence[str]
) -> None:
    missing = [str(error) for command in commands if (error := await _refusal(redis, command))]
    missing += [str(error) for channel in channels if (error := await _refused_channel(redis, channel))]
    if missing:
        examination.fail("rights", "; ".join(dict.fromkeys(missing)), _RIGHTS)
    elif await _refusal(redis, _FOREIGN) is None:
        examination.warn("rights", "the user may read keys of other applications", _RIGHTS)
    else:
        examination.ok("rights", "the user may do what the service needs, and read no other keys")


async def _refusal(redis: RedisClient, command: Command) -> RedisUnavailable | None:
    try:
        await redis.send(*command)
    except RedisUnavailable as error:
        return error
    return None


async def _refused_channel(redis: RedisClient, channel: str) -> RedisUnavailable | None:
    try:
        async with redis.pubsub() as pubsub:
            await pubsub.subscribe(channel)
            await pubsub.get_message(timeout=1.0)
    except RedisUnavailable as error:
        return error
    return None
