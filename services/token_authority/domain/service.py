"""Services that introspect tokens: which sites each sees, and how it authenticates."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from msgspec import UNSET, Struct, UnsetType

from services.token_authority.domain.administrator import validate_sites
from services.token_authority.domain.errors import InvalidValue
from services.token_authority.domain.secret import MintedSecret
from services.token_authority.domain.token_fields import validate_text
from shared.contract.token import SECRET_PATTERN

AUTHORITY: Final = "authority"
_CLIENT_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Service(Struct, frozen=True, kw_only=True):
    """A service. It sees all sites if `sites` is `None`. `public_key` is PEM, for `private_key_jwt`."""

    client_id: str
    name: str = ""
    sites: tuple[str, ...] | None = None
    public_key: str | None = None
    created_at: datetime
    created_by: str
    disabled_at: datetime | None = None
    disabled_by: str | None = None

    def sees(self, site_id: str) -> bool:
        """Return whether it may introspect tokens of this site."""
        return self.sites is None or site_id in self.sites


class ServiceRequest(Struct, frozen=True):
    """The fields of a new service, not validated yet."""

    client_id: str
    name: str = ""
    sites: Sequence[str] | None = None
    public_key: str | None = None


class ServiceChange(Struct, frozen=True, kw_only=True):
    """New values for some fields, not validated yet. A field that is `UNSET` keeps its value."""

    name: str | UnsetType = UNSET
    sites: Sequence[str] | UnsetType | None = UNSET
    public_key: str | UnsetType | None = UNSET


class ServiceCredentials(NamedTuple):
    """A service, the digests of its secrets that work, and of those that were never used."""

    service: Service
    digests: list[bytes]
    unused: list[bytes]


class ServiceLookup(NamedTuple):
    """What is known of a client id, `None` if no service that may authenticate has it.

    If the database `is_restored`, a credential that was replaced may work in it again.
    """

    credentials: ServiceCredentials | None
    is_restored: bool


class NewService(NamedTuple):
    """A service with a new secret, unless it has a public key."""

    service: Service
    minted: MintedSecret | None


class RotatedService(NamedTuple):
    """A service with a new secret, and when the last of the older ones ends."""

    service: Service
    minted: MintedSecret
    old_secrets_end_at: datetime | None


def is_client_id(text: str) -> bool:
    """Return whether `text` is a valid client id."""
    return _CLIENT_ID.fullmatch(text) is not None and not SECRET_PATTERN.search(text)


def validate_service_name(name: str) -> str:
    """Return the name; it may be empty. Raise `InvalidValue`."""
    return validate_text("name", name) if name else ""


def new_service(request: ServiceRequest, *, created_by: str, now: datetime) -> Service:
    """Validate the request and return the service; the public key is already validated. Raise `InvalidValue`."""
    if request.client_id == AUTHORITY:
        raise InvalidValue(("client_id",), f"'{AUTHORITY}' is reserved for the token authority; choose another")
    if not is_client_id(request.client_id):
        raise InvalidValue(
            ("client_id",), "must be 1 to 64 characters of A-Z a-z 0-9 . _ -, beginning with a letter or a digit"
        )
    return Service(
        client_id=request.client_id,
        name=validate_service_name(request.name),
        sites=validate_sites(request.sites),
        public_key=request.public_key,
        created_at=now,
        created_by=created_by,
    )
