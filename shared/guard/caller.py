"""Who is calling, as handlers know it: what the token grants, never the token."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

from aiohttp import web

from shared.contract.introspection import Grant
from shared.contract.scope import Action, Path, Place, intersect_paths
from shared.guard.errors import InsufficientScope
from shared.guard.usage import Usage


class Caller:
    """The bearer of a token that works. `usage` is told once of a request that is let through."""

    def __init__(self, grant: Grant, usage: Usage) -> None:
        self._grant = grant
        self._usage = usage
        self._noted = False
        self._checked_actions: set[Action] = set()

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

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The JSON object that the token was given for services to read; it cannot be changed."""
        return self._grant.metadata

    @property
    def checked_actions(self) -> AbstractSet[Action]:
        """The actions that `require` and `require_paths` have been asked for."""
        return self._checked_actions

    def require(self, action: Action, place: Place) -> None:
        """Raise `InsufficientScope` unless the token allows `action` at `place`."""
        self._checked_actions.add(action)
        if not self.may(action, place):
            raise InsufficientScope(action, place.path)
        self.count_use()

    def may(self, action: Action, place: Place) -> bool:
        """Whether the token allows `action` at `place`."""
        return self._grant.covers(action, place)

    def require_paths(self, action: Action, within: Path) -> list[Path]:
        """The widest paths in a part of the site, or in all of it, to which the token allows `action`.

        None lies within another. Raises `InsufficientScope` where there are none.
        """
        self._checked_actions.add(action)
        allowed = (scope.path for scope in self._grant.scopes if action in scope.actions)
        reached = intersect_paths(within, allowed)
        if not reached:
            raise InsufficientScope(action, within)
        self.count_use()
        return reached

    def count_use(self) -> None:
        """The request is let through; said again, it counts no more."""
        if not self._noted:
            self._noted = True
            self._usage.count(self._grant.token_id, self._grant.secret_id)

    def count_refusal(self) -> None:
        """The request is not let through, though the token works."""
        self._usage.count_refusal(self._grant.token_id, self._grant.secret_id)


CALLER: Final = web.RequestKey("caller", Caller)


def caller(request: web.Request) -> Caller:
    """The caller of a guarded route. Raises `KeyError` on a public one."""
    return request[CALLER]
