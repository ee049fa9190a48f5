"""Composition root of the token authority: settings become a pool, a Redis client, a relay and an application."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from services.token_authority.app_keys import DATABASE, RELAY, SETTINGS
from services.token_authority.operations.first_start import prepare
from services.token_authority.operations.relay import ChangeRelay
from services.token_authority.problems import PROBLEMS
from services.token_authority.routes import add_routes
from services.token_authority.settings import TokenAuthoritySettings
from services.token_authority.storage.schema import SCHEMA
from shared.contract.token import SECRET_PATTERN
from shared.runtime.health import add_health
from shared.runtime.migrate import require_migrated
from shared.runtime.postgres import database
from shared.runtime.redis import redis_address_of, redis_client
from shared.runtime.request_line import new_application
from shared.runtime.secret import redactor
from shared.runtime.supervised import supervised


def build_app(settings: TokenAuthoritySettings) -> web.Application:
    """The authority, ready to be started."""
    app = new_application(PROBLEMS, redactor(SECRET_PATTERN))
    app[SETTINGS] = settings
    add_routes(app)
    add_health(app, required={"postgres": lambda: app[DATABASE].ping()}, reported={"redis": lambda: app[RELAY].ping()})
    app.cleanup_ctx.extend([_open_database, _relay_changes])
    return app


async def _open_database(app: web.Application) -> AsyncGenerator[None, None]:
    settings = app[SETTINGS]
    async with database(
        settings.token_authority_database_url,
        size=settings.database_pool_size,
        statement_cache=settings.database_statement_cache,
    ) as opened:
        await require_migrated(opened, SCHEMA)
        await prepare(
            opened,
            site_name=settings.first_site_name,
            admin_key_file=Path(settings.admin_key_file),
            service_credentials=settings.service_credentials,
            now=datetime.now(UTC),
        )
        app[DATABASE] = opened
        yield


async def _relay_changes(app: web.Application) -> AsyncGenerator[None, None]:
    url = app[SETTINGS].redis_url
    async with redis_client(url) as redis:
        relay = ChangeRelay(app[DATABASE], redis, redis_address_of(url))
        app[RELAY] = relay
        async with supervised(app, "change relay", relay.run):
            yield
