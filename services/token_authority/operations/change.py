"""Change tokens in use: what is said of them, what they may do, whether they work, and their secrets.

What guards have to learn of goes through the change log like a revocation, and is in force when the same wait is over.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.admin_key import AdminKey
from services.token_authority.domain.audit import Entry
from services.token_authority.domain.errors import TokenEnded, UnknownToken
from services.token_authority.domain.lease import Lease, Wait
from services.token_authority.domain.secret import MintedSecret, Rotation, Secret
from services.token_authority.domain.token import Token
from services.token_authority.domain.token_change import TokenChange, change
from services.token_authority.operations.recorded import recorded
from services.token_authority.operations.relay import ChangeRelay
from services.token_authority.operations.rotate import rotate_secret
from services.token_authority.storage import changes, guards, secrets, tokens
from services.token_authority.storage.audit import append_audit
from shared.runtime.postgres.database import Connection, Database


class Committed(NamedTuple):
    """The token after a change, and the wait until that is in force; `None` where it is nothing to the guards."""

    token: Token
    wait: Wait | None


class Rotated(NamedTuple):
    """A token with its new secret, this once as it is presented, and how long those before it work."""

    token: Token
    minted: MintedSecret
    old_end_at: datetime | None
    wait: Wait | None


class TokenChanges:
    """One a process. `clock` is the one that the confirmations count on.

    Each raises `UnknownToken` for a token that is not there, or not within what the caller may see.
    """

    def __init__(self, database: Database, relay: ChangeRelay, *, clock: Callable[[], float]) -> None:
        self._database = database
        self._relay = relay
        self._clock = clock

    async def change(self, token_id: str, asked: TokenChange, caller: AdminKey, by: Actor) -> Committed:
        """Give some fields values. Repeated, it changes nothing, and waits as well.

        Raises `InvalidValue`, `Widening`, `TokenEnded`.
        """
        async with self._locked(token_id, caller) as (transaction, token):
            changed = change(token, asked, datetime.now(UTC))
            await self._record(transaction, token, changed.token, "token.change", by)
            logged = await self._log(transaction, changed.kind, token.id)
        return Committed(changed.token, self._wait(logged))

    async def disable(self, token_id: str, reason: str | None, caller: AdminKey, by: Actor) -> Committed:
        """Stop a token until it is enabled again. Repeated, it changes nothing, and waits as well."""
        async with self._locked(token_id, caller) as (transaction, token):
            now = _alive_at(token)
            disabled = token
            if token.disabled_at is None:
                disabled = msgspec.structs.replace(token, disabled_at=now, disabled_by=str(by), disabled_reason=reason)
            await self._record(transaction, token, disabled, "token.disable", by)
            logged = await self._log(transaction, "disabled", token.id)
        return Committed(disabled, self._wait(logged))

    async def enable(self, token_id: str, caller: AdminKey, by: Actor) -> Committed:
        """Let a disabled token work again. Repeated, it changes nothing."""
        async with self._locked(token_id, caller) as (transaction, token):
            now = _alive_at(token)
            enabled = token
            if token.disabled_at is not None:
                enabled = msgspec.structs.replace(
                    token, disabled_at=None, disabled_by=None, disabled_reason=None, enabled_at=now
                )
            await self._record(transaction, token, enabled, "token.enable", by)
            logged = await self._log(transaction, "enabled" if enabled != token else None, token.id)
        return Committed(enabled, self._wait(logged))

    async def rotate(self, token_id: str, rotation: Rotation, caller: AdminKey, by: Actor) -> Rotated:
        """Give a token a new secret. Raises `TokenEnded`, and what `rotate_secret` raises."""
        async with self._locked(token_id, caller) as (transaction, token):
            now = _alive_at(token)
            minted = await rotate_secret(transaction, "token", token.id, rotation, now)
            others = [each for each in await _knowable(transaction, token.id) if each.id != minted.secret.id]
            rotated = msgspec.structs.replace(token, hint=minted.secret.hint)
            await self._record(transaction, token, rotated, "token.rotate", by)
            logged = await self._log(transaction, "rotated", token.id, [secret.digest for secret in others])
        old_end_at = max((secret.ends_at for secret in others if secret.ends_at), default=None)
        return Rotated(rotated, minted, old_end_at, self._wait(logged))

    @asynccontextmanager
    async def _locked(self, token_id: str, caller: AdminKey) -> AsyncGenerator[tuple[Connection, Token], None]:
        async with self._database.transaction() as transaction:
            token = await tokens.lock_token(transaction, token_id)
            if token is None or not caller.sees(token):
                raise UnknownToken(token_id)
            yield transaction, token
        self._relay.wake()

    async def _record(self, transaction: Connection, before: Token, after: Token, action: str, by: Actor) -> None:
        fields = [name for name in Token.__struct_fields__ if getattr(before, name) != getattr(after, name)]
        if fields:
            await tokens.update_token(transaction, after)
            entry = Entry(by, action, f"token:{after.id}", recorded(before, fields), recorded(after, fields))
            await append_audit(transaction, [entry])

    async def _log(
        self, transaction: Connection, kind: str | None, token_id: str, digests: Sequence[bytes] | None = None
    ) -> "_Logged | None":
        if kind is None:
            return None
        if digests is None:
            digests = [secret.digest for secret in await _knowable(transaction, token_id)]
        if not digests:  # those before the newest have ended so long ago that no guard knows them
            return None
        await changes.lock_log(transaction)
        seq = await changes.append_changes(transaction, kind, token_id, digests)
        return _Logged(seq, await guards.select_leases(transaction))

    def _wait(self, logged: "_Logged | None") -> Wait | None:
        """Counted from after the commit."""
        return None if logged is None else Wait(logged.seq, logged.leases, self._clock())


class _Logged(NamedTuple):
    seq: int
    leases: list[Lease]


async def _knowable(transaction: Connection, token_id: str) -> list[Secret]:
    """The secrets that a guard may know: also those that ended less than a day ago, for its clock may be slow."""
    since = datetime.now(UTC) - timedelta(days=1)
    known = await secrets.select_secrets(transaction, "token", token_id)
    return [secret for secret in known if secret.ends_at is None or secret.ends_at > since]


def _alive_at(token: Token) -> datetime:
    """Now, where the token has not ended. Raises `TokenEnded`."""
    now = datetime.now(UTC)
    if token.status(now) in ("revoked", "expired"):
        raise TokenEnded
    return now
