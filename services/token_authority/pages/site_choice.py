"""The choice of sites in a form: all of them, or only some."""

from collections.abc import Sequence
from typing import Self

from aiohttp import web
from msgspec import Struct

from services.token_authority.app_keys import DATABASE
from services.token_authority.domain.errors import InvalidValue
from services.token_authority.domain.site import Site
from services.token_authority.storage.sites import select_sites
from shared.runtime.pages.forms import Form


class SiteChoice(Struct, frozen=True):
    """All sites, or only the chosen ones."""

    is_limited: bool = False
    chosen: Sequence[str] = ()

    @classmethod
    def of(cls, sites: Sequence[str] | None) -> Self:
        """Return the choice for the ids of sites; `None` are all."""
        return cls(sites is not None, sites or ())

    @classmethod
    def read(cls, form: Form) -> Self:
        """Return the choice in a form."""
        return cls(form.text("site_limit") == "some", form.all("sites"))

    def to_ids(self) -> list[str] | None:
        """Return the ids of the chosen sites; `None` for all. Raise `InvalidValue` if only some, and none is chosen."""
        if self.is_limited and not self.chosen:
            raise InvalidValue(("sites",), "choose at least one site, or all sites")
        return list(self.chosen) if self.is_limited else None


async def sites_for(request: web.Request) -> list[Site]:
    """Return every site, for a choice or for the names of chosen ones."""
    return await select_sites(request.app[DATABASE])
