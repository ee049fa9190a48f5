"""Composition root of the polls service: settings become a pool, a guard and an application."""

from collections.abc import AsyncGenerator

from aiohttp import web

from services.polls.app_keys import DATABASE, FOLLOWED, POLL_FEED, SETTINGS, STREAM_PLACES, TURNS, VOTES
from services.polls.domain.participant import Participants
from services.polls.handlers.batch import BATCH_ROUTE, MAX_BATCH_BYTES
from services.polls.operations.feed import PollFeed
from services.polls.operations.followed import FollowedPolls
from services.polls.operations.stream_places import StreamPlaces
from services.polls.operations.turns import Turns
from services.polls.operations.upkeep import Upkeep
from services.polls.operations.vote import Votes
from services.polls.problems import FACES, PROBLEMS
from services.polls.routes import add_routes
from services.polls.settings import PollsSettings
from services.polls.storage.schema import SCHEMA
from shared.contract.token import SECRET_PATTERN
from shared.guard import AUTHORITY, FEED, FOLLOWER, mount_guard
from shared.runtime.docs import DOCS_ROUTES
from shared.runtime.health import add_health
from shared.runtime.metrics import METRICS, add_metrics
from shared.runtime.migrate import require_migrated
from shared.runtime.postgres import database, patiently
from shared.runtime.redis import redis_address_of, redis_client
from shared.runtime.request_line import new_application
from shared.runtime.secret import redactor
from shared.runtime.supervised import supervised


def build_app(settings: PollsSettings) -> web.Application:
    """The polls service, ready to be started."""
    app = new_application(PROBLEMS, redactor(SECRET_PATTERN), faces=FACES, body_limits={BATCH_ROUTE: MAX_BATCH_BYTES})
    add_routes(app)
    add_health(
        app,
        required={"postgres": lambda: app[DATABASE].ping()},
        reported={
            "changes": lambda: app[FEED].ping(),
            "lease": lambda: app[FOLLOWER].ping(),
            "token_authority": lambda: app[AUTHORITY].ping(),
        },
    )
    add_metrics(app)
    app[SETTINGS] = settings
    app[STREAM_PLACES] = StreamPlaces(places=settings.event_streams, places_a_token=settings.event_streams_a_token)
    app.cleanup_ctx.extend((_open_database, _open_feed))
    mount_guard(app, settings, public=DOCS_ROUTES, faces=FACES)
    return app


async def _open_database(app: web.Application) -> AsyncGenerator[None, None]:
    settings = app[SETTINGS]
    async with database(
        settings.polls_database_url,
        size=settings.database_pool_size,
        statement_cache=settings.database_statement_cache,
        registry=app[METRICS],
    ) as opened:
        await patiently(lambda: require_migrated(opened, SCHEMA))
        app[DATABASE] = opened
        app[TURNS] = Turns()
        app[VOTES] = Votes(opened, Participants(settings.participant_secret), app[TURNS])
        async with supervised(app, "upkeep", Upkeep(opened).run):
            yield


async def _open_feed(app: web.Application) -> AsyncGenerator[None, None]:
    redis_url = app[SETTINGS].redis_url
    async with redis_client(redis_url) as redis:
        feed = app[POLL_FEED] = PollFeed(redis, redis_address_of(redis_url))
        followed = app[FOLLOWED] = FollowedPolls(app[DATABASE], feed)
        async with (
            supervised(app, "poll feed", feed.run),
            supervised(app, "poll announcements", feed.publish),
            supervised(app, "followed polls", followed.run),
        ):
            yield
