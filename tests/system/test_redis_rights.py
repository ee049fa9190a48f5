"""The Redis users of the stack have only the rights that their services need."""

import hashlib
from pathlib import Path

import pytest
from limits.aio.storage.redis.bridge import RedisBridge
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from pollgate.stack.secrets import load_or_create, redis_users
from services.polls.tasks.poll_feed import POLLS_CHANNEL
from shared.contract.redis_names import CHANGES_CHANNEL, rate_limit_prefix, ticket_prefix
from shared.guard.tickets import StreamTickets
from shared.runtime.redis.client import redis_client
from shared.runtime.redis.rate_limit import RATE_LIMIT_COMMANDS, rate_limiter
from tests.support.redis_setups import ADMIN_LOGIN, find_programs, run_node


@pytest.fixture(params=list(find_programs().values()), ids=list(find_programs()))
def program(request: pytest.FixtureRequest) -> Path:
    """Return the server program."""
    return Path(request.param)


_READ_WINDOW = hashlib.sha1(RedisBridge.SCRIPT_SLIDING_WINDOW).hexdigest()  # noqa: S324 - as Redis names it


async def _limiter_works_in_redis(url: str, prefix: str) -> bool:
    """Return whether a limiter counts in Redis, at the end of a window and with or without loaded scripts."""
    registry = CollectorRegistry()
    async with redis_client(url) as redis:
        limiter = rate_limiter(redis, prefix, registry)
        verdicts = [await limiter.hit("key", 2) for _ in range(3)]
        assert [verdict.is_allowed for verdict in verdicts] == [True, True, False]
        return registry.get_sample_value("pollgate_rate_limit_in_memory") == 0


async def test_service_may_count_under_own_keys_only(tmp_path: Path, program: Path) -> None:
    made = load_or_create(tmp_path / "secrets.json")
    users = {
        "polls": ("polls", made.polls_redis_password, "authority"),
        "token-authority": ("authority", made.token_authority_redis_password, "polls"),
    }

    async with run_node(tmp_path / "redis", program, redis_users(made)) as server:
        for name, (own, password, _) in users.items():
            assert await _limiter_works_in_redis(server.url(f"{name}:{password}"), rate_limit_prefix(own))

        for name, (own, password, other) in users.items():
            async with Redis.from_url(server.url(f"{name}:{password}")) as client:
                forbidden_command = "PUBLISH" if own == "polls" else "SUBSCRIBE"
                for command in (
                    *_forbidden(rate_limit_prefix(own), rate_limit_prefix(other)),
                    (forbidden_command, CHANGES_CHANNEL, "x"),
                ):
                    with pytest.raises(NoPermissionError):
                        await client.execute_command(*command)  # type: ignore[no-untyped-call]


async def test_only_polls_may_publish_poll_announcements(tmp_path: Path, program: Path) -> None:
    made = load_or_create(tmp_path / "secrets.json")

    async with run_node(tmp_path / "redis", program, redis_users(made)) as server:
        async with (
            Redis.from_url(server.url(f"polls:{made.polls_redis_password}")) as polls,
            polls.pubsub() as news,
            polls.pubsub() as changes,
        ):
            await news.subscribe(POLLS_CHANNEL)
            await changes.subscribe(CHANGES_CHANNEL)
            await polls.publish(POLLS_CHANNEL, "an id")
            for foreign in (CHANGES_CHANNEL, "pollgate:polls:x", "x"):
                with pytest.raises(NoPermissionError):
                    await polls.publish(foreign, "x")
            with pytest.raises(NoPermissionError):
                await polls.set(POLLS_CHANNEL, "x")
            received = [await news.get_message(timeout=5) for _ in range(2)]

        async with Redis.from_url(server.url(f"token-authority:{made.token_authority_redis_password}")) as authority:
            with pytest.raises(NoPermissionError):
                await authority.publish(POLLS_CHANNEL, "x")

    assert [message and message["type"] for message in received] == ["subscribe", "message"]


def _forbidden(own: str, other: str) -> list[tuple[str | int, ...]]:
    return [
        ("GET", f"{other}:{{key}}"),
        ("SET", f"{other}:{{key}}", 0),
        ("RENAME", f"{own}:{{key}}", f"{other}:{{key}}"),
        ("EVALSHA", _READ_WINDOW, 2, f"{other}:{{key}}/-1", f"{other}:{{key}}", 60),
        ("GET", own),
        ("SET", "pollgate:changes", "x"),
        ("DEL", f"{own}:{{key}}"),
        ("EVAL", "return 1", 0),
        ("SCRIPT", "FLUSH"),
        ("KEYS", "*"),
        ("SCAN", 0),
        ("FLUSHALL",),
        ("CONFIG", "GET", "*"),
        ("ACL", "LIST"),
        ("INFO",),
    ]


async def test_script_has_only_the_rights_of_the_user(tmp_path: Path, program: Path) -> None:
    made = load_or_create(tmp_path / "secrets.json")
    foreign = f"{rate_limit_prefix('authority')}:{{key}}"

    async with run_node(tmp_path / "redis", program, redis_users(made)) as server:
        async with Redis.from_url(server.url(ADMIN_LOGIN)) as admin:
            await admin.set(foreign, "theirs")
        async with Redis.from_url(server.url(f"polls:{made.polls_redis_password}")) as client:
            script = await client.script_load(f"return redis.call('get', '{foreign}')")
            with pytest.raises(ResponseError, match=r"(?i)no permissions? |can't access"):
                await client.evalsha(script, 0)


@pytest.mark.parametrize("missing", RATE_LIMIT_COMMANDS.split())
async def test_limiter_without_one_right_does_not_work_in_redis(tmp_path: Path, program: Path, missing: str) -> None:
    rights = RATE_LIMIT_COMMANDS.replace(missing, "")
    users = f"user limiter on >secret ~test:limit:* -@all +@connection {rights}\n"

    async with run_node(tmp_path / "redis", program, users) as server:
        async with Redis.from_url(server.url(ADMIN_LOGIN)) as admin:
            if "script" not in missing:
                await _load_scripts(server.url(ADMIN_LOGIN))
            await _start_earlier_window(admin)

        assert not await _limiter_works_in_redis(server.url("limiter:secret"), "test:limit")


async def _load_scripts(url: str) -> None:
    assert await _limiter_works_in_redis(url, "test:loaded")


async def _start_earlier_window(admin: Redis) -> None:
    """Set a count of an earlier window, so that the next call moves the window."""
    await admin.set("test:limit:{key}", 0, px=59_000)


async def test_only_polls_may_store_and_take_stream_tickets(tmp_path: Path, program: Path) -> None:
    made = load_or_create(tmp_path / "secrets.json")
    key = ticket_prefix("polls")

    async with run_node(tmp_path / "redis", program, redis_users(made)) as server:
        async with redis_client(server.url(f"polls:{made.polls_redis_password}")) as redis:
            polls = redis.redis
            tickets = StreamTickets(redis, key)
            ticket = await tickets.issue("pgt_x", "/events")
            assert await tickets.redeem(ticket, "/events") == "pgt_x"
            for command in (("GET", f"{key}:x"), ("DEL", f"{key}:x"), ("GETDEL", f"{rate_limit_prefix('polls')}:x")):
                with pytest.raises(NoPermissionError):
                    await polls.execute_command(*command)
        async with Redis.from_url(server.url(f"token-authority:{made.token_authority_redis_password}")) as authority:
            with pytest.raises(NoPermissionError):
                await authority.getdel(f"{key}:x")
