"""`python -m bench.unguarded`: the polls service without its guard, to measure the guard's cost. Anyone may call it.

Handlers, limits and database are those of the service. Instead of the guard, the access rule sets a caller of
one site that may do everything. It only supports showing a poll: there are no votes, events or lists.
"""

from collections.abc import AsyncGenerator, Callable
from typing import Annotated, Final

from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec import Meta
from msgspec.structs import replace

from services.polls.app_keys import DATABASE, POLL_READS
from services.polls.problems import PROBLEMS
from services.polls.routes import ROUTES
from services.polls.settings import PollsSettings
from services.polls.storage.poll_reads import PollReads
from shared.contract.introspection import Grant
from shared.contract.scope import Action, Place
from shared.contract.token import SECRET_START
from shared.guard import REDACTED_PATTERN
from shared.guard.caller import CALLER, Caller
from shared.guard.usage import Usage
from shared.runtime.http.application import create_application
from shared.runtime.http.health import add_health
from shared.runtime.http.metrics import METRICS, add_metrics
from shared.runtime.http.routes import Access, add_routes
from shared.runtime.postgres.database import database
from shared.runtime.process.clock import elapsed_s
from shared.runtime.process.redaction import redactor
from shared.runtime.process.serve import run_service


class UnguardedSettings(PollsSettings, frozen=True, kw_only=True):
    """The settings of the polls service, and the site whose polls are read."""

    unguarded_site: Annotated[str, Meta(description="the id of the site whose polls anyone may read")]


class Anyone(Caller):
    """A caller that may do everything and is not counted."""

    def require(self, action: Action, place: Place) -> None:
        """Allow every action."""

    def may(self, action: Action, place: Place) -> bool:
        """Return true."""
        return True


def build_app(settings: UnguardedSettings) -> web.Application:
    """Return the polls service without its guard and its feed."""
    app = create_application(PROBLEMS, redactor(REDACTED_PATTERN, SECRET_START))
    anyone = Access(_allow_anyone(settings.unguarded_site))
    add_routes(app, [replace(route, access=anyone) for route in ROUTES])
    add_health(app, required={"postgres": lambda: app[DATABASE].ping()}, reported={})
    add_metrics(app)

    async def open_database(_: web.Application) -> AsyncGenerator[None, None]:
        async with database(
            settings.polls_database_url,
            size=settings.database_pool_size,
            statement_cache=settings.database_statement_cache,
            registry=app[METRICS],
        ) as app[DATABASE]:
            app[POLL_READS] = PollReads(app[DATABASE])
            yield

    app.cleanup_ctx.append(open_database)
    return app


_NEVER: Final = float("inf")


def _allow_anyone(site: str) -> Callable[[Handler], Handler]:
    anyone = Anyone(Grant("tok_", "sec_", site, "", (), _NEVER, as_of=0), Usage(elapsed_s))

    def restrict(handler: Handler) -> Handler:
        async def wrapper(request: web.Request) -> web.StreamResponse:
            request[CALLER] = anyone
            return await handler(request)

        return wrapper

    return restrict


if __name__ == "__main__":
    run_service("polls", UnguardedSettings, build_app, redactor(REDACTED_PATTERN, SECRET_START))
