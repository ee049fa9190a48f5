"""Find tokens by their secrets, and introspect them for a service.

The first use of a secret may end older ones. A use after its end is recorded as an alert and does not harm the token.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.service import Service
from services.token_authority.domain.token import TokenLookup
from services.token_authority.operations.first_use import record_first_use
from services.token_authority.storage import changes, secrets, tokens, usage
from services.token_authority.storage.audit import audited_transaction
from services.token_authority.storage.tokens import select_tokens_by_digests
from services.token_authority.tasks.relay import ChangeRelay
from services.token_authority.tasks.restoration import RestorationWatch
from shared.contract.token import ACCESS_TOKEN, digest, is_well_formed
from shared.runtime.postgres.batched_reads import BatchedReads
from shared.runtime.postgres.database import Database


class Introspector:
    """Introspects tokens for a service, and finds them for others. Create one instance per process.

    Every method raises `Restored` if the database lacks changes.
    """

    def __init__(self, database: Database, relay: ChangeRelay, watch: RestorationWatch) -> None:
        self._database = database
        self._relay = relay
        self._watch = watch
        self._tokens = BatchedReads(self._select_tokens)

    async def find_by_secret(self, secret: str) -> TokenLookup | None:
        """Return the token with this secret, whether or not it works."""
        (found,) = await self._find_by_secrets([secret])
        return found

    async def introspect_one(self, text: str, service: Service) -> TokenLookup | None:
        """Return what `introspect` does. Requests that arrive together share a statement."""
        lookup = await self._tokens.get(digest(text)) if is_well_formed(text, ACCESS_TOKEN) else None
        return None if lookup is None else await self._introspect(lookup, service)

    async def introspect(self, texts: Sequence[str], service: Service) -> list[TokenLookup | None]:
        """Return for each secret its token, if it works and belongs to a site that the service sees.

        The first use of a secret is stored before this returns.
        """
        found = await self._find_by_secrets(texts)
        return [await self._introspect(each, service) if each is not None else None for each in found]

    async def _find_by_secrets(self, texts: Sequence[str]) -> list[TokenLookup | None]:
        """Return the token of each secret. Malformed secrets cost no query."""
        digests = [digest(text) if is_well_formed(text, ACCESS_TOKEN) else None for text in texts]
        wanted = {each for each in digests if each is not None}
        found = await self._select_tokens(wanted) if wanted else {}
        return [found.get(each) if each is not None else None for each in digests]

    async def _select_tokens(self, digests: Collection[bytes]) -> Mapping[bytes, TokenLookup]:
        expected = self._watch.newest
        found = await select_tokens_by_digests(self._database, digests)
        await self._watch.require_current(found.as_of, expected)
        return found.by_digest

    async def _introspect(self, lookup: TokenLookup, service: Service) -> TokenLookup | None:
        if not service.sees(lookup.token.site_id):
            return None
        now = datetime.now(UTC)
        if not lookup.works(now):
            await self._record_refusal(lookup, now)
            return None
        if lookup.secret.first_used_at is not None:
            return lookup
        await self._record_first_use(lookup, now)
        found = await self._select_tokens([lookup.secret.digest])
        again = found.get(lookup.secret.digest)
        return None if again is None else await self._introspect(again, service)

    async def _record_first_use(self, lookup: TokenLookup, now: datetime) -> None:
        token_id = lookup.token.id
        async with audited_transaction(self._database) as transaction:
            await tokens.lock_token(transaction, token_id)
            holder = Actor("holder", token_id)
            ended = await record_first_use(transaction, "token", token_id, lookup.secret.digest, holder, now)
            logged = []
            if ended:
                await changes.lock_log(transaction)
                expected = self._watch.newest
                logged = await changes.append_changes(transaction, "rotated", token_id, ended)
                await self._watch.require_appended(logged, expected)
        self._relay.push(logged)

    async def _record_refusal(self, lookup: TokenLookup, now: datetime) -> None:
        async with self._database.transaction() as transaction:
            if not lookup.secret.works(now):
                await tokens.note_late_use(transaction, lookup.token.id, now)
                await secrets.note_late_use_of_secret(transaction, lookup.secret.id, now)
            await usage.add_refusal(transaction, lookup.token.id, now)
