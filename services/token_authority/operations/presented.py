"""A secret that is presented at the authority: which token it is of, and what its use brings about.

The first use of a secret may end those before it; a use after its end is an alert, and does no harm to the token.
"""

from datetime import UTC, datetime

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.audit import Entry
from services.token_authority.operations.relay import ChangeRelay
from services.token_authority.storage import changes, secrets, tokens, usage
from services.token_authority.storage.audit import append_audit
from services.token_authority.storage.tokens import Known, select_token_by_digest
from shared.contract.token import ACCESS_TOKEN, digest, is_well_formed
from shared.runtime.postgres import Database


async def known_by(database: Database, secret: str) -> Known | None:
    """The token of this secret, dead or alive. What is malformed is not looked up."""
    if not is_well_formed(secret, ACCESS_TOKEN):
        return None
    return await select_token_by_digest(database, digest(secret))


class PresentedTokens:
    """One a process."""

    def __init__(self, database: Database, relay: ChangeRelay) -> None:
        self._database = database
        self._relay = relay

    async def use(self, secret: str, site_ids: tuple[str, ...] | None) -> Known | None:
        """The token of a secret that a service asks about, where it works and is of these sites, if any are named.

        It is on record that the secret is in use before anyone hears that it works.
        """
        known = await known_by(self._database, secret)
        if known is None or (site_ids is not None and known.token.site_id not in site_ids):
            return None
        now = datetime.now(UTC)
        if not known.works(now):
            await self._note_refusal(known, now)
            return None
        if known.secret.first_used_at is not None:
            return known
        await self._note_first_use(known, now)
        return await self.use(secret, site_ids)

    async def _note_first_use(self, known: Known, now: datetime) -> None:
        token_id = known.token.id
        async with self._database.transaction() as transaction:
            await tokens.lock_token(transaction, token_id)
            made_at = await secrets.note_first_use(transaction, known.secret.digest, now)
            ended = [] if made_at is None else await secrets.end_on_use(transaction, "token", token_id, made_at, now)
            if ended:
                entry = Entry(Actor("holder", token_id), "token.end_old_secret", f"token:{token_id}")
                await append_audit(transaction, [entry])
                await changes.lock_log(transaction)
                await changes.append_changes(transaction, "rotated", token_id, ended)
        if ended:
            self._relay.wake()

    async def _note_refusal(self, known: Known, now: datetime) -> None:
        async with self._database.transaction() as transaction:
            if not known.secret.works(now):
                await tokens.note_late_use(transaction, known.token.id, now)
                await secrets.note_late_use_of_secret(transaction, known.secret.id, now)
            await usage.add_refusal(transaction, known.token.id, now)
