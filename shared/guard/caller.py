"""Who is calling, as handlers know it: what the token grants, never the token."""

from typing import Final

from aiohttp import web

from shared.contract.introspection import Grant
from shared.contract.scope import Action, Place
from shared.guard.errors import InsufficientScope


class Caller:
    """The bearer of a token that works."""

    def __init__(self, grant: Grant) -> None:
        self._grant = grant

    @property
    def token_id(self) -> str:
        """The token's id, which may be shown and logged."""
        return self._grant.token_id

    @property
    def site(self) -> str:
        """The id of the site that the token is for."""
        return self._grant.site

    @property
    def endpoint_id(self) -> str:
        """The last segment of that site's URL."""
        return self._grant.endpoint_id

    def require(self, action: Action, place: Place) -> None:
        """Raises `InsufficientScope` unless the token allows `action` at `place`."""
        if not self._grant.covers(action, place):
            raise InsufficientScope(action, place)


CALLER: Final = web.RequestKey("caller", Caller)


def caller(request: web.Request) -> Caller:
    """The caller of a guarded route. Raises `KeyError` on a public one."""
    return request[CALLER]
