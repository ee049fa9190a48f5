"""Descriptions in the OpenAPI document of responses and problems that several routes share."""

from typing import Final

from shared.contract.scope import Action

UNKNOWN: Final = {404: "No poll has this id, or the token has no access to it."}
CHANGED: Final = {412: "The poll does not have the ETag that `If-Match` names."}
VOTES: Final = {
    409: "The edit would drop votes, or break another promise to participants who have voted. `errors` says which; "
    "`allow` insists."
}
IN_USE: Final = {409: "A request with this `Idempotency-Key` is still in progress; see `Retry-After`."}
ETAG: Final = {"ETag": "The entity tag of the poll, for `If-Match` and `If-None-Match`."}


def forbidden(action: Action, *others: Action) -> dict[int, str]:
    """Return the description of 403 for a route that needs one of the actions at the poll's place."""
    actions = " or ".join(f"`{each}`" for each in (action, *others))
    return {403: f"The token may not do {actions} at the poll's place; `WWW-Authenticate` names the missing scope."}
