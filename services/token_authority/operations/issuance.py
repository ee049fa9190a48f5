"""Issue a token: store the token, its secret and the audit record in one transaction."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from services.token_authority.domain.admin_key import Administrator, AdminKey
from services.token_authority.domain.audit import AuditEntry, audit_fields
from services.token_authority.domain.errors import InvalidValue
from services.token_authority.domain.site import Site
from services.token_authority.domain.token import IssuedToken, TokenRequest, issue
from services.token_authority.storage import secrets, sites, tokens
from services.token_authority.storage.audit import append_audit
from shared.runtime.postgres.database import Database


async def issue_token(
    database: Database,
    request: TokenRequest,
    site_id: str | None,
    by: Administrator,
    *,
    now: datetime,
    max_lifetime: timedelta | None,
) -> IssuedToken:
    """Issue a token for a site, or for the default site. Raise `InvalidValue` or `Forbidden`."""
    site = _choose_site(await sites.select_sites(database), site_id, by.key)
    issued = issue(request, site.id, by.actor, now, max_lifetime)
    by.key.require_within(issued.token)
    async with database.transaction() as transaction:
        await tokens.insert_token(transaction, issued.token)
        await secrets.insert_secret(transaction, "token", issued.minted.secret)
        entry = AuditEntry(by.actor, "token.issue", f"token:{issued.token.id}", after=audit_fields(issued.token))
        await append_audit(transaction, [entry])
    return issued


def _choose_site(known: Sequence[Site], site_id: str | None, key: AdminKey) -> Site:
    """Return the site with this id; without an id, the first site that the admin key may issue tokens for."""
    for site in known:
        if site.id == site_id or (site_id is None and (key.sites is None or site.id in key.sites)):
            return site
    raise InvalidValue(("site",), "unknown site id; leave it out for the default site")
