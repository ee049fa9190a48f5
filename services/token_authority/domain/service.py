"""Services that introspect: what each may see, and how it shows who it is."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from services.token_authority.domain.errors import InvalidValue
from services.token_authority.domain.token_fields import checked_text
from shared.contract.token import SECRET_PATTERN

AUTHORITY: Final = "authority"
_CLIENT_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Service(Struct, frozen=True, kw_only=True):
    """`sites` that are `None` set no limit; `public_key` is PEM, for `private_key_jwt`."""

    client_id: str
    name: str = ""
    sites: tuple[str, ...] | None = None
    public_key: str | None = None
    created_at: datetime
    created_by: str
    disabled_at: datetime | None = None
    disabled_by: str | None = None

    def sees(self, site_id: str) -> bool:
        """Whether tokens of this site exist for it."""
        return self.sites is None or site_id in self.sites


def is_client_id(text: str) -> bool:
    """Whether it may name a service."""
    return _CLIENT_ID.fullmatch(text) is not None and not SECRET_PATTERN.search(text)


def checked_sites(sites: Sequence[str] | None) -> tuple[str, ...] | None:
    """Each site once; `None` for all. Raises `InvalidValue`."""
    if sites is not None and not sites:
        raise InvalidValue(("sites",), "name at least one site, or leave this out for all")
    return None if sites is None else tuple(dict.fromkeys(sites))


def new_service(
    client_id: str,
    name: str,
    sites: Sequence[str] | None,
    public_key: str | None = None,
    *,
    created_by: str,
    now: datetime,
) -> Service:
    """Check and make one; the public key has been checked. Raises `InvalidValue`."""
    if client_id == AUTHORITY:
        raise InvalidValue(("client_id",), f"'{AUTHORITY}' is the token authority itself; choose another")
    if not is_client_id(client_id):
        raise InvalidValue(("client_id",), "1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or a digit")
    return Service(
        client_id=client_id,
        name=checked_text("name", name) if name else "",
        sites=checked_sites(sites),
        public_key=public_key,
        created_at=now,
        created_by=created_by,
    )
