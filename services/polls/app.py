"""Composition root of the polls service: create its pool, its tasks and its operations from the settings."""

from collections.abc import AsyncGenerator
from functools import partial

from aiohttp import web

from services.polls.app_keys import (
    BATCH_EDITOR,
    DATABASE,
    FOLLOWED_POLLS,
    LINK_VOTERS,
    POLL_EDITOR,
    POLL_FEED,
    POLL_READS,
    SESSION_COOKIE,
    SESSIONS,
    SETTINGS,
    STREAM_LIMITER,
    TEMPLATES,
    VOTER_PASSES,
    VOTES,
    VOTING_LINKS,
)
from services.polls.domain.participant import Participants
from services.polls.metrics import show_state
from services.polls.operations.address_limits import VOTERS_LIFE_S, VOTERS_PREFIX, AddressLimits
from services.polls.operations.batch import BatchEditor
from services.polls.operations.edit import PollEditor
from services.polls.operations.links import VotingLinks
from services.polls.operations.poll_semaphores import PollSemaphores
from services.polls.operations.sessions import Sessions
from services.polls.operations.stream_limiter import StreamLimiter
from services.polls.operations.vote import Votes
from services.polls.operations.voter_passes import VoterPasses
from services.polls.page_routes import MANAGE_ROUTES, VOTING_ROUTES
from services.polls.pages import paths
from services.polls.pages.errors import PageErrors
from services.polls.pages.live_results import (
    LIVE_PAGES,
    RESULTS_RENDERER,
    LivePages,
    ResultsRenderer,
)
from services.polls.pages.setup import STATIC_FOLDER, TEMPLATE_FOLDER, TEMPLATE_FUNCTIONS
from services.polls.problems import PROBLEMS
from services.polls.routes import DOCUMENTATION, ROUTES
from services.polls.settings import PollsSettings
from services.polls.storage.poll_reads import PollReads
from services.polls.storage.schema import SCHEMA
from services.polls.tasks.followed_polls import FollowedPolls
from services.polls.tasks.poll_feed import MAX_SILENCE_S, PollFeed
from services.polls.tasks.retention import Retention
from shared.contract.token import SECRET_START
from shared.guard import AUTHORITY, FEED, FOLLOWER, REDACTED_PATTERN, mount_guard
from shared.runtime.docs import add_docs
from shared.runtime.http.application import BODY_LIMIT_S, ERROR_VIEW, create_application
from shared.runtime.http.health import add_health
from shared.runtime.http.metrics import METRICS, add_metrics
from shared.runtime.http.routes import add_routes
from shared.runtime.pages.cookies import SecretCookie, is_https
from shared.runtime.pages.static_files import SHARED_STATIC, StaticFiles
from shared.runtime.pages.templates import Templates
from shared.runtime.postgres.database import database, retry_until_available
from shared.runtime.postgres.migrations import require_migrated
from shared.runtime.process.outage import Outage
from shared.runtime.process.redaction import redactor
from shared.runtime.process.supervise import supervise
from shared.runtime.redis.client import redis_client
from shared.runtime.redis.limited_sets import LimitedSets

_LIMITS_END = (
    "Redis does not respond: the voters of shared links are not limited by address meanwhile; start Redis, or "
    "correct REDIS_URL or the rights of its user"
)
_LIMITS_HOLD = "Redis responds again: the voters of shared links are limited by address"


def build_app(
    settings: PollsSettings, *, body_limit_s: float = BODY_LIMIT_S, max_silence_s: float = MAX_SILENCE_S
) -> web.Application:
    """Return the polls service, ready to be started.

    The body of a request has to arrive within `body_limit_s`. A followed poll is read after `max_silence_s` without an
    announcement.
    """
    app = create_application(PROBLEMS, redactor(REDACTED_PATTERN, SECRET_START), body_limit_s=body_limit_s)
    add_routes(app, ROUTES)
    add_docs(app, DOCUMENTATION, settings.resource_url)
    add_health(
        app,
        required={"postgres": lambda: app[DATABASE].ping()},
        reported={
            "changes": lambda: app[FEED].ping(),
            "lease": lambda: app[FOLLOWER].ping(),
            "token_authority": lambda: app[AUTHORITY].ping(),
        },
        networks=settings.metrics_networks,
    )
    add_metrics(app, settings.metrics_networks)
    app[SETTINGS] = settings
    _add_pages(app, settings)
    app[STREAM_LIMITER] = StreamLimiter(limit=settings.event_streams, limit_per_token=settings.event_streams_per_token)
    app.cleanup_ctx.extend((_open_database, partial(_open_feed, max_silence_s=max_silence_s)))
    app.on_startup.append(_create_operations)
    mount_guard(app, settings)
    return app


def _add_pages(app: web.Application, settings: PollsSettings) -> None:
    app[SESSION_COOKIE] = SecretCookie("pollgate_manage", is_https(settings.resource_url))
    static = StaticFiles(paths.STATIC, STATIC_FOLDER, SHARED_STATIC)
    app[TEMPLATES] = Templates(TEMPLATE_FOLDER, {"static": static.path, **TEMPLATE_FUNCTIONS})
    app[RESULTS_RENDERER] = ResultsRenderer(app[TEMPLATES])
    app[LIVE_PAGES] = LivePages(settings.live_pages)
    app.on_shutdown.append(_end_live_pages)
    app[ERROR_VIEW] = PageErrors(app[ERROR_VIEW])
    add_routes(app, [static.route, *MANAGE_ROUTES, *VOTING_ROUTES])


async def _end_live_pages(app: web.Application) -> None:
    app[LIVE_PAGES].end()


async def _open_database(app: web.Application) -> AsyncGenerator[None, None]:
    settings = app[SETTINGS]
    async with database(
        settings.polls_database_url,
        size=settings.database_pool_size,
        statement_cache=settings.database_statement_cache,
        registry=app[METRICS],
    ) as pool:
        await retry_until_available(lambda: require_migrated(pool, SCHEMA))
        app[DATABASE], app[POLL_READS] = pool, PollReads(pool)
        app[SESSIONS] = Sessions(pool, settings.session_limits)
        async with supervise(app, "retention", Retention(pool, settings.session_limits).run):
            yield


async def _open_feed(app: web.Application, max_silence_s: float) -> AsyncGenerator[None, None]:
    async with redis_client(app[SETTINGS].redis_url) as redis:
        feed = app[POLL_FEED] = PollFeed(redis, max_silence_s=max_silence_s)
        outage = Outage(_LIMITS_END, _LIMITS_HOLD, address=redis.address)
        app[LINK_VOTERS] = LimitedSets(redis, VOTERS_PREFIX, outage, life_s=VOTERS_LIFE_S)
        show_state(app[METRICS], app[SETTINGS], app[STREAM_LIMITER], app[LIVE_PAGES], feed)
        followed = app[FOLLOWED_POLLS] = FollowedPolls(app[DATABASE], feed)
        async with (
            supervise(app, "poll feed", feed.run),
            supervise(app, "poll announcements", feed.publish),
            supervise(app, "followed polls", followed.run),
        ):
            yield


async def _create_operations(app: web.Application) -> None:
    database, reads, feed, semaphores = app[DATABASE], app[POLL_READS], app[POLL_FEED], PollSemaphores()
    secret = app[SETTINGS].participant_secret
    participants = Participants(secret)
    addresses = AddressLimits(app[LINK_VOTERS], participants)
    app[POLL_EDITOR] = PollEditor(database, semaphores, feed)
    app[BATCH_EDITOR] = BatchEditor(database, feed)
    app[VOTES] = Votes(database, reads, participants, semaphores, feed, addresses)
    app[VOTING_LINKS] = VotingLinks(database, reads, participants, semaphores, feed)
    app[VOTER_PASSES] = VoterPasses(secret)
