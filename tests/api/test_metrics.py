"""What `/metrics` shows of requests, pools, streams, guards, tokens and the process."""

import asyncio
import platform
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
from prometheus_client import CollectorRegistry

from services.token_authority.metrics import AuthorityMetrics
from services.token_authority.tasks.stored_figures import StoredFigures
from shared.runtime.postgres.database import database as open_database
from tests.support.databases import ClonedDatabase
from tests.support.scrape import scrape
from tests.support.stack import Authority, Polls

REQUESTS: Final = "pollgate_http_request_seconds_count"
POLL_ROUTE: Final = "/v1/polls/{id}"


async def test_request_is_counted_by_route_method_and_class_of_status(polls: Polls) -> None:
    poll_id = (await polls.create_poll())["id"]
    assert (await polls.v1("GET", f"/polls/{poll_id}")).status == 200
    assert (await polls("HEAD", f"/v1/polls/{poll_id}?token={polls.token}")).status == 200
    assert (await polls.v1("GET", "/polls/00000000-0000-0000-0000-000000000000")).status == 404

    shown = await scrape(polls)

    labels = {"route": POLL_ROUTE}
    assert shown.value(REQUESTS, {**labels, "method": "GET", "status": "2xx"}) == 1
    assert shown.value(REQUESTS, {**labels, "method": "HEAD", "status": "2xx"}) == 1
    assert shown.value(REQUESTS, {**labels, "method": "GET", "status": "4xx"}) == 1
    assert shown.value("pollgate_http_request_seconds_bucket", {**labels, "status": "2xx", "le": "+Inf"}) == 2
    assert 0 < shown.value("pollgate_http_request_seconds_sum", labels) < 60


async def test_unknown_path_and_method_are_counted_without_what_was_sent(polls: Polls) -> None:
    assert (await polls("PROPFIND", f"/nothing/{polls.token}?token={polls.token}")).status in (404, 405)

    shown = await scrape(polls)

    assert shown.value(REQUESTS, {"route": "unmatched", "method": "other", "status": "4xx"}) == 1
    assert not any(polls.token in text or "PROPFIND" in text or "nothing" in text for text in shown.label_values)


async def test_open_stream_is_shown_with_its_limit_and_counted_with_the_time_until_it_began(polls: Polls) -> None:
    poll_id = (await polls.create_poll())["id"]
    headers = {"Authorization": f"Bearer {polls.token}", "Accept": "text/event-stream"}
    async with polls.session.get(f"{polls.base}/v1/polls/{poll_id}/events", headers=headers) as stream:
        assert stream.status == 200
        await stream.content.readany()
        shown = await scrape(polls)
        await asyncio.sleep(1.1)  # longer than the greatest bucket that is checked below
    assert shown.value("pollgate_event_streams") == 1
    assert shown.value("pollgate_event_streams_limit") == 1000
    assert shown.value("pollgate_live_pages_limit") == 1000

    async with asyncio.timeout(10):
        while not (shown := await scrape(polls)).value(REQUESTS, {"route": "/v1/polls/{id}/events"}):
            await asyncio.sleep(0.05)
    assert shown.value("pollgate_event_streams") == 0
    assert shown.value("pollgate_http_request_seconds_bucket", {"route": "/v1/polls/{id}/events", "le": "1.0"}) == 1


async def test_guard_shows_its_lease_cache_and_introspections(polls: Polls) -> None:
    async with asyncio.timeout(10):
        shown = await scrape(polls)
        while not (shown.value("pollgate_guard_subscribed") and shown.value("pollgate_guard_lease_held")):
            await asyncio.sleep(0.05)
            shown = await scrape(polls)

    assert (await polls.v1("GET", "/polls")).status == 200
    assert (await polls.with_token("pgt_" + 38 * "0").v1("GET", "/polls")).status == 401
    shown = await scrape(polls)

    assert 0 < shown.value("pollgate_guard_lease_remaining_seconds") <= 5
    assert shown.value("pollgate_guard_lag_seconds") == 0
    assert shown.value("pollgate_guard_cache_entries", {"kind": "grant"}) == 1
    assert shown.value("pollgate_guard_introspection_seconds_count", {"result": "active"}) == 1
    assert shown.value("pollgate_guard_introspection_seconds_count", {"result": "failed"}) == 0
    assert shown.value("pollgate_polls_feed_subscribed") == 1


async def test_full_pool_shows_its_connections_and_what_waits(polls: Polls, database: ClonedDatabase) -> None:
    assert (await scrape(polls)).value("pollgate_database_connections_limit") == 4
    locker = await asyncpg.connect(database.admin_url)
    try:
        async with locker.transaction(), asyncio.timeout(10):
            await locker.execute("LOCK TABLE polls.poll IN ACCESS EXCLUSIVE MODE")
            reads = [asyncio.create_task(polls.v1("GET", "/polls")) for _ in range(8)]
            while (shown := await scrape(polls)).value("pollgate_database_connections_waiting") < 4:
                await asyncio.sleep(0.01)
        await asyncio.gather(*reads)
    finally:
        await locker.close()

    assert shown.value("pollgate_database_connections_in_use") == 4
    after = await scrape(polls)
    assert after.value("pollgate_database_connections_in_use") == 0
    assert after.value("pollgate_database_connections_waiting") == 0
    assert after.value("pollgate_database_connection_wait_seconds_count") >= 4


async def test_process_and_version_are_shown(authority: Authority) -> None:
    shown = await scrape(authority)

    assert shown.value("pollgate_build_info", {"version": "0.1.0", "python": platform.python_version()}) == 1
    assert shown.value("process_resident_memory_bytes") > 10_000_000
    assert shown.value("process_cpu_seconds_total") > 0
    assert shown.value("process_open_fds") > 0
    assert 0 <= shown.value("pollgate_signing_key_age_seconds") < 3600


async def test_tokens_that_expire_soon_are_counted_unless_they_have_ended(
    authority: Authority, database: ClonedDatabase
) -> None:
    now = datetime.now(UTC)

    async def issue(days: float) -> Any:
        return await authority.issue(expires_at=(now + timedelta(days=days)).isoformat())

    for days in (6, 20, 29, 31):
        await issue(days)
    await authority.revoke((await issue(5))["id"])
    await authority.issue()
    registry = CollectorRegistry()

    async with open_database(database.token_authority_url, size=1, statement_cache=0) as opened:
        await StoredFigures(opened, AuthorityMetrics(registry)).count_expiring_tokens(datetime.now(UTC))

    assert registry.get_sample_value("pollgate_tokens_expiring", {"within": "7d"}) == 1
    assert registry.get_sample_value("pollgate_tokens_expiring", {"within": "30d"}) == 3


async def test_authority_shows_figures_of_its_database(authority: Authority) -> None:
    async with asyncio.timeout(20):
        while "pollgate_tokens_expiring" not in (shown := await scrape(authority)).labels_by_name:
            await asyncio.sleep(0.1)

    assert shown.value("pollgate_audit_log_head") > 0
    assert shown.labels_by_name["pollgate_tokens_expiring"] == {"within"}
