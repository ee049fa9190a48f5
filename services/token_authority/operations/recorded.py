"""What the audit log says of a thing: its fields by name, but for its secrets."""

from collections.abc import Collection
from typing import Any, Final

import msgspec

from services.token_authority.domain.admin_key import AdminKey
from services.token_authority.domain.service import Service
from services.token_authority.domain.token import Token

_UNSAID: Final = ("id", "client_id", "created_at", "created_by")
"""What the record itself says."""


def recorded(thing: Token | AdminKey | Service, fields: Collection[str] | None = None) -> dict[str, Any]:
    """The fields named, or all that are not empty, as JSON has them."""
    values = {
        name: value
        for name, value in msgspec.structs.asdict(thing).items()
        if (name in fields if fields is not None else name not in _UNSAID and value not in (None, (), "", {}))
    }
    if values.get("scopes") is not None:
        values["scopes"] = [str(scope) for scope in values["scopes"]]
    return msgspec.to_builtins(values)  # type: ignore[no-any-return]
