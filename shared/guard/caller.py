"""Who is calling, as handlers know it: what the token grants, never the token."""

from collections.abc import Callable
from typing import Final

from aiohttp import web

from shared.contract.introspection import Grant
from shared.contract.scope import Action, Place
from shared.guard.errors import InsufficientScope


class Caller:
    """The bearer of a token that works. `note_use` is told once of a request that is let through."""

    def __init__(self, grant: Grant, note_use: Callable[[str], None]) -> None:
        self._grant = grant
        self._note_use = note_use
        self._noted = False

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
        self.count_use()

    def count_use(self) -> None:
        """The request is let through; said again, it counts no more."""
        if not self._noted:
            self._noted = True
            self._note_use(self._grant.token_id)


CALLER: Final = web.RequestKey("caller", Caller)


def caller(request: web.Request) -> Caller:
    """The caller of a guarded route. Raises `KeyError` on a public one."""
    return request[CALLER]
