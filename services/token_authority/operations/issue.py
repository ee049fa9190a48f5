"""Issue a token: the token, its secret and the record of it in one transaction."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.admin_key import AdminKey
from services.token_authority.domain.audit import Entry
from services.token_authority.domain.errors import InvalidValue
from services.token_authority.domain.site import Site
from services.token_authority.domain.token import IssuedToken, TokenRequest, issue
from services.token_authority.operations.recorded import recorded
from services.token_authority.storage import secrets, sites, tokens
from services.token_authority.storage.audit import append_audit
from shared.runtime.postgres.database import Database


async def issue_token(
    database: Database,
    request: TokenRequest,
    site_id: str | None,
    *,
    issuer: AdminKey,
    by: Actor,
    now: datetime,
    longest: timedelta | None,
) -> IssuedToken:
    """Make a token for a site, or for the default one. Raises `InvalidValue`, `Forbidden`."""
    site = _site(await sites.select_sites(database), site_id, issuer)
    issued = issue(request, site.id, by, now, longest)
    issuer.require_within(issued.token)
    async with database.transaction() as transaction:
        await tokens.insert_token(transaction, issued.token)
        await secrets.insert_secret(transaction, "token", issued.minted.secret)
        subject = f"token:{issued.token.id}"
        await append_audit(transaction, [Entry(by, "token.issue", subject, after=recorded(issued.token))])
    return issued


def _site(known: Sequence[Site], site_id: str | None, issuer: AdminKey) -> Site:
    """The site of this id; without one the first that the issuer may issue tokens for."""
    for site in known:
        if site.id == site_id or (site_id is None and (issuer.sites is None or site.id in issuer.sites)):
            return site
    raise InvalidValue(("site",), "no site has this id; leave it out for the default one")
