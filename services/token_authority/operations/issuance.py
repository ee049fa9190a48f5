"""Issue a token: store the token, its secret and the audit record in one transaction."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from services.token_authority.domain.administrator import Administrator, Rights
from services.token_authority.domain.audit import AuditEntry, audit_fields
from services.token_authority.domain.errors import InvalidValue, UnknownToken
from services.token_authority.domain.idempotency import IdempotencyKey
from services.token_authority.domain.site import Site
from services.token_authority.domain.token import IssuedToken, TokenRequest, issue
from services.token_authority.domain.token_change import require_alive
from services.token_authority.operations.idempotency import find_earlier_request, remember_request
from services.token_authority.operations.rotation import replace_lost_secret
from services.token_authority.storage import secrets, sites, tokens
from services.token_authority.storage.audit import AuditedTransaction, audited_transaction
from services.token_authority.storage.idempotency import KeyedRequest
from shared.runtime.postgres.database import Database


async def issue_token(
    database: Database,
    request: TokenRequest,
    site_id: str | None,
    by: Administrator,
    *,
    now: datetime,
    max_lifetime: timedelta | None,
    key: IdempotencyKey | None = None,
) -> IssuedToken:
    """Issue a token for a site, or for the default site. Raise `InvalidValue` or `Forbidden`.

    For a repeated request, replace the secret of the token that it issued, whose response was lost. Raise
    `IdempotencyKeyReused`, `RotationInUse` or `TokenEnded`.
    """
    known_sites = await sites.select_sites(database)
    async with audited_transaction(database) as transaction:
        earlier = await find_earlier_request(transaction, key)
        if earlier is not None:
            return await _repeat(transaction, earlier, by, now)
        site = _choose_site(known_sites, site_id, by.rights)
        issued = issue(request, site.id, by.actor, now, max_lifetime)
        by.rights.require_within(issued.token)
        token, secret = issued.token, issued.minted.secret
        await tokens.insert_token(transaction, token)
        await secrets.insert_secret(transaction, "token", secret)
        await remember_request(transaction, key, token.id, secret.id)
        after = {**audit_fields(token), "secret": secret.id}
        await transaction.record(AuditEntry(by.actor, "token.issue", f"token:{token.id}", after=after))
    return issued


async def _repeat(
    transaction: AuditedTransaction, earlier: KeyedRequest, by: Administrator, now: datetime
) -> IssuedToken:
    token = await tokens.lock_token(transaction, earlier.holder_id)
    if token is None or earlier.secret_id is None or not by.rights.sees(token):
        raise UnknownToken
    require_alive(token, now)
    minted = await replace_lost_secret(transaction, "token", token.id, earlier.secret_id, by.actor, now)
    token = msgspec.structs.replace(token, hint=minted.secret.hint)
    await tokens.update_token(transaction, token)
    return IssuedToken(token, minted)


def _choose_site(known: Sequence[Site], site_id: str | None, rights: Rights) -> Site:
    """Return the site with this id; without an id, the first site within these rights."""
    for site in known:
        if site.id == site_id or (site_id is None and (rights.sites is None or site.id in rights.sites)):
            return site
    raise InvalidValue(("site",), "unknown site id; leave it out for the default site")
