"""A site: one installation of the polls app. Every poll and every token belongs to a site."""

from datetime import datetime
from typing import Final

from msgspec import Struct

from services.token_authority.domain.token_fields import validate_text
from shared.contract.token import random_base62

ENDPOINT_ID_LENGTH: Final = 27


class Site(Struct, frozen=True):
    """A site. `endpoint_id` is the opaque, URL-safe last segment of the site's polls URL."""

    id: str
    name: str
    endpoint_id: str
    created_at: datetime


def new_site(name: str, now: datetime) -> Site:
    """Return a site with a new id and a new endpoint id (160 random bits). Raise `InvalidValue`."""
    return Site(
        id=f"site_{random_base62(16)}",
        name=validate_text("name", name),
        endpoint_id=random_base62(ENDPOINT_ID_LENGTH),
        created_at=now,
    )
