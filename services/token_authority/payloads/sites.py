"""Sites in responses."""

from datetime import datetime

from msgspec import Struct

from services.token_authority.domain.site import Site


class SitePayload(Struct, frozen=True):
    """A site. Its polls are at `/x1/{endpoint_id}` of the polls service."""

    id: str
    name: str
    endpoint_id: str
    created_at: datetime

    @classmethod
    def of(cls, site: Site) -> "SitePayload":
        """Return the payload of a site."""
        return cls(id=site.id, name=site.name, endpoint_id=site.endpoint_id, created_at=site.created_at)


class SitePage(Struct, frozen=True):
    """Every site, the default one first."""

    items: list[SitePayload]
