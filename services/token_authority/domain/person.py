"""People who sign in through an identity provider, and the rights that their groups have."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from msgspec import Struct

from services.token_authority.domain.administrator import Rights
from services.token_authority.domain.errors import NoRole
from services.token_authority.domain.token_fields import MAX_NAME_LENGTH
from shared.runtime.text.characters import shorten_line

_NAME_CLAIMS: Final = ("preferred_username", "email", "name", "sub")


class Person(Struct, frozen=True):
    """A person at the identity provider. `id` is the `sub`, which never changes; `name` is for display only."""

    id: str
    name: str
    groups: tuple[str, ...]


class GroupRights(NamedTuple):
    """A group at the identity provider, and the rights of the people in it."""

    group: str
    rights: Rights


def find_rights(person: Person, known: Sequence[GroupRights]) -> GroupRights:
    """Return the first entry of `known` with a group of this person. Raise `NoRole`."""
    for entry in known:
        if entry.group in person.groups:
            return entry
    raise NoRole


def choose_name(claims: Mapping[str, Any]) -> str:
    """Return the first of `_NAME_CLAIMS` that shows something (OpenID Connect Core §5.1), as one line."""
    names = (shorten_line(claim, MAX_NAME_LENGTH) for claim in map(claims.get, _NAME_CLAIMS) if isinstance(claim, str))
    return next(filter(None, names), "")
