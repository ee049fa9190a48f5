"""A secret that is presented at the authority: which token it is of, and what its use brings about.

The first use of a secret may end those before it; a use after its end is an alert, and does no harm to the token.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.audit import Entry
from services.token_authority.domain.service import Service
from services.token_authority.operations.relay import ChangeRelay
from services.token_authority.storage import changes, secrets, tokens, usage
from services.token_authority.storage.audit import append_audit
from services.token_authority.storage.tokens import Known, select_tokens_by_digests
from shared.contract.token import ACCESS_TOKEN, digest, is_well_formed
from shared.runtime.postgres.database import Database


async def known_by(database: Database, secret: str) -> Known | None:
    """The token of this secret, dead or alive."""
    (known,) = await _known(database, [secret])
    return known


async def _known(database: Database, texts: Sequence[str]) -> list[Known | None]:
    """The tokens of these secrets. What is malformed is not looked up."""
    digests = [digest(text) if is_well_formed(text, ACCESS_TOKEN) else None for text in texts]
    asked = {each for each in digests if each is not None}
    found = await select_tokens_by_digests(database, asked) if asked else {}
    return [found.get(each) if each is not None else None for each in digests]


class PresentedTokens:
    """One a process."""

    def __init__(self, database: Database, relay: ChangeRelay) -> None:
        self._database = database
        self._relay = relay

    async def use(self, texts: Sequence[str], service: Service) -> list[Known | None]:
        """The tokens of secrets that a service asks about, where they work and are of a site that it sees.

        It is on record that a secret is in use before anyone hears that it works.
        """
        known = await _known(self._database, texts)
        return [await self._use(each, service) if each is not None else None for each in known]

    async def _use(self, known: Known, service: Service) -> Known | None:
        if not service.sees(known.token.site_id):
            return None
        now = datetime.now(UTC)
        if not known.works(now):
            await self._note_refusal(known, now)
            return None
        if known.secret.first_used_at is not None:
            return known
        await self._note_first_use(known, now)
        found = await select_tokens_by_digests(self._database, [known.secret.digest])
        again = found.get(known.secret.digest)
        return None if again is None else await self._use(again, service)

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
