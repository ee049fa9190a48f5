"""The caller as handlers see it: what the token grants, never the token itself."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

from aiohttp import web
from msgspec import Struct, field

from shared.contract.introspection import Grant
from shared.contract.scope import Action, Path, Place, intersect_paths
from shared.guard.errors import InsufficientScope
from shared.guard.origin import Origin
from shared.guard.usage import Usage


class ScopeNotChecked(Exception):
    """A handler responded with a success without a granted action of its route: a programming error, so a 500."""


class Caller(Struct, eq=False):
    """The bearer of a working token. Count one use per request, however many actions the handler requires."""

    _grant: Grant
    _usage: Usage
    _origin: Origin | None = None
    validated_age_s: float = 0.0
    _needed_actions: frozenset[Action] = frozenset()
    _is_counted: bool = False
    _granted_actions: set[Action] = field(default_factory=set)

    @property
    def token_id(self) -> str:
        """The id of the token. It is no secret and may be logged."""
        return self._grant.token_id

    @property
    def site(self) -> str:
        """The id of the site that the token is for."""
        return self._grant.site

    @property
    def endpoint_id(self) -> str:
        """The last segment of the URL of that site."""
        return self._grant.endpoint_id

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The JSON object that the token carries for services. It is read-only."""
        return self._grant.metadata

    @property
    def is_rate_limited(self) -> bool:
        """Whether the token has a rate limit."""
        return self._grant.rate_limit is not None

    @property
    def granted_actions(self) -> AbstractSet[Action]:
        """The actions that `require` and `require_paths` have found the token to allow."""
        return self._granted_actions

    def require(self, action: Action, place: Place) -> None:
        """Raise `InsufficientScope` unless the token allows `action` at `place`."""
        if not self.may(action, place):
            raise InsufficientScope(action, place.path)
        self._granted_actions.add(action)
        self.count_use()

    def may(self, action: Action, place: Place) -> bool:
        """Return whether the token allows `action` at `place`."""
        return self._grant.covers(action, place)

    def require_paths(self, action: Action, within: Path) -> list[Path]:
        """Return the widest paths within `within` at which the token allows `action`; none lies within another.

        `within` is a path in the site; the empty path is the whole site. Raise `InsufficientScope` if there is none.
        """
        reached = self.find_paths(action, within)
        if not reached:
            raise InsufficientScope(action, within)
        self._granted_actions.add(action)
        self.count_use()
        return reached

    def find_paths(self, action: Action, within: Path = ()) -> list[Path]:
        """Return the paths that `require_paths` returns, or none. Use it to show what the token allows."""
        return intersect_paths(within, (scope.path for scope in self._grant.scopes if action in scope.actions))

    def require_scope_check(self, status: int) -> None:
        """Raise `ScopeNotChecked` if a response with this status is a success, and no action of the route was granted.

        A route without actions needs none.
        """
        if status < 400 and self._needed_actions and self._needed_actions.isdisjoint(self._granted_actions):
            raise ScopeNotChecked(f"a response with status {status} without a scope check")

    def count_use(self) -> None:
        """Count the request as a use of the token, once per request."""
        if not self._is_counted:
            self._is_counted = True
            self._usage.count(self._grant.token_id, self._grant.secret_id, self._origin)

    def count_refusal(self) -> None:
        """Count the request as refused, although the token works."""
        self._usage.count_refusal(self._grant.token_id, self._grant.secret_id)


CALLER: Final = web.RequestKey("caller", Caller)


def caller(request: web.Request) -> Caller:
    """Return the caller of a request to a guarded route. Raise `KeyError` on a public route."""
    return request[CALLER]
