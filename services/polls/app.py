"""Composition root of the polls service: settings become a pool, a guard and an application."""

from collections.abc import AsyncGenerator

from aiohttp import web

from services.polls.app_keys import DATABASE, SETTINGS
from services.polls.problems import FACES, PROBLEMS
from services.polls.routes import add_routes
from services.polls.settings import PollsSettings
from services.polls.storage.schema import SCHEMA
from shared.contract.token import SECRET_PATTERN
from shared.guard import AUTHORITY, FEED, FOLLOWER, mount_guard
from shared.runtime.health import add_health
from shared.runtime.metrics import METRICS, add_metrics
from shared.runtime.migrate import require_migrated
from shared.runtime.postgres import database, patiently
from shared.runtime.request_line import new_application
from shared.runtime.secret import redactor


def build_app(settings: PollsSettings) -> web.Application:
    """The polls service, ready to be started."""
    app = new_application(PROBLEMS, redactor(SECRET_PATTERN), faces=FACES)
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
    app.cleanup_ctx.append(_open_database)
    mount_guard(app, settings, faces=FACES)
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
        yield
