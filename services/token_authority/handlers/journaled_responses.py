"""Send no response to a request that has changed something before the journal has it."""

from aiohttp import web
from aiohttp.typedefs import Handler

from services.token_authority.app_keys import JOURNAL
from services.token_authority.storage.audit import REQUIRED_READING, RequiredReading
from shared.runtime.http.routes import Route, RouteWrapper


class JournaledResponses(RouteWrapper):
    """Wraps the handler of every route that is mounted later, and does what the wrapper before did."""

    def __init__(self, wrapper: RouteWrapper) -> None:
        self._wrapper = wrapper

    def wrap(self, route: Route, handler: Handler) -> Handler:
        """Return a handler that ends when the journal has what it has changed.

        The journal is written from the commit on, while the handler waits for guards.
        """

        async def handle_and_wait(request: web.Request) -> web.StreamResponse:
            journal = request.app[JOURNAL]
            required = RequiredReading(journal.readings)
            REQUIRED_READING.set(required)
            try:
                response = await handler(request)
            except Exception:  # a redirection too
                await journal.wait_for(required)
                raise
            await journal.wait_for(required)
            return response

        return self._wrapper.wrap(route, handle_and_wait)
