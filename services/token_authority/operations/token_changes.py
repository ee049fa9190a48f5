"""Change, disable, enable and rotate tokens in use.

Every change that concerns guards goes through the change log, as a revocation does, and is effective when they have
confirmed it.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.admin_key import Administrator, AdminKey
from services.token_authority.domain.audit import AuditEntry, audit_fields
from services.token_authority.domain.errors import TokenEnded, UnknownToken
from services.token_authority.domain.lease import Lease, PendingChange
from services.token_authority.domain.secret import Rotation, Secret
from services.token_authority.domain.token import Token
from services.token_authority.domain.token_change import ChangedToken, RotatedToken, TokenChange, apply_change
from services.token_authority.operations.rotation import rotate_secret
from services.token_authority.storage import changes, guards, secrets, tokens
from services.token_authority.storage.audit import append_audit
from services.token_authority.tasks.relay import ChangeRelay
from shared.runtime.postgres.database import Connection, Database


class TokenChanges:
    """Changes tokens in use. Create one instance per process. `clock` is the one that the confirmations use.

    Every method raises `UnknownToken` if there is no such token, or the administrator may not see it.
    """

    def __init__(self, database: Database, relay: ChangeRelay, *, clock: Callable[[], float]) -> None:
        self._database = database
        self._relay = relay
        self._clock = clock

    async def change(self, token_id: str, requested: TokenChange, by: Administrator) -> ChangedToken:
        """Change the fields that are set. A repetition changes nothing, and is as pending as the first change.

        Raise `InvalidValue`, `Widening` or `TokenEnded`.
        """
        async with self._lock(token_id, by.key) as (transaction, token):
            applied = apply_change(token, requested, datetime.now(UTC))
            await self._record(transaction, token, applied.token, "token.change", by.actor)
            logged = await self._log(transaction, applied.kind, token.id)
        return ChangedToken(applied.token, self._start_pending(logged))

    async def disable(self, token_id: str, reason: str | None, by: Administrator) -> ChangedToken:
        """Disable a token until it is enabled again. A repetition changes nothing, and is as pending as the first."""
        async with self._lock(token_id, by.key) as (transaction, token):
            now = _require_alive(token)
            disabled = token
            if token.disabled_at is None:
                disabled = msgspec.structs.replace(
                    token, disabled_at=now, disabled_by=str(by.actor), disabled_reason=reason
                )
            await self._record(transaction, token, disabled, "token.disable", by.actor)
            logged = await self._log(transaction, "disabled", token.id)
        return ChangedToken(disabled, self._start_pending(logged))

    async def enable(self, token_id: str, by: Administrator) -> ChangedToken:
        """Enable a disabled token. A repetition changes nothing."""
        async with self._lock(token_id, by.key) as (transaction, token):
            now = _require_alive(token)
            enabled = token
            if token.disabled_at is not None:
                enabled = msgspec.structs.replace(
                    token, disabled_at=None, disabled_by=None, disabled_reason=None, enabled_at=now
                )
            await self._record(transaction, token, enabled, "token.enable", by.actor)
            logged = await self._log(transaction, "enabled" if enabled != token else None, token.id)
        return ChangedToken(enabled, self._start_pending(logged))

    async def rotate(self, token_id: str, rotation: Rotation, by: Administrator) -> RotatedToken:
        """Give a token a new secret. Raise `TokenEnded`, or an error of `rotate_secret`."""
        async with self._lock(token_id, by.key) as (transaction, token):
            now = _require_alive(token)
            minted = await rotate_secret(transaction, "token", token.id, rotation, now)
            others = [each for each in await _select_cacheable(transaction, token.id) if each.id != minted.secret.id]
            rotated = msgspec.structs.replace(token, hint=minted.secret.hint)
            await self._record(transaction, token, rotated, "token.rotate", by.actor)
            logged = await self._log(transaction, "rotated", token.id, [secret.digest for secret in others])
        old_secrets_end_at = max((secret.ends_at for secret in others if secret.ends_at), default=None)
        return RotatedToken(rotated, minted, old_secrets_end_at, self._start_pending(logged))

    @asynccontextmanager
    async def _lock(self, token_id: str, key: AdminKey) -> AsyncGenerator[tuple[Connection, Token], None]:
        async with self._database.transaction() as transaction:
            token = await tokens.lock_token(transaction, token_id)
            if token is None or not key.sees(token):
                raise UnknownToken(token_id)
            yield transaction, token
        self._relay.wake()

    async def _record(self, transaction: Connection, before: Token, after: Token, action: str, by: Actor) -> None:
        fields = [name for name in Token.__struct_fields__ if getattr(before, name) != getattr(after, name)]
        if fields:
            await tokens.update_token(transaction, after)
            entry = AuditEntry(
                by, action, f"token:{after.id}", audit_fields(before, fields), audit_fields(after, fields)
            )
            await append_audit(transaction, [entry])

    async def _log(
        self, transaction: Connection, kind: str | None, token_id: str, digests: Sequence[bytes] | None = None
    ) -> "_LoggedChange | None":
        if kind is None:
            return None
        if digests is None:
            digests = [secret.digest for secret in await _select_cacheable(transaction, token_id)]
        if not digests:  # every older secret ended so long ago that no guard has it in its cache
            return None
        await changes.lock_log(transaction)
        seq = await changes.append_changes(transaction, kind, token_id, digests)
        return _LoggedChange(seq, await guards.select_leases(transaction))

    def _start_pending(self, logged: "_LoggedChange | None") -> PendingChange | None:
        """Start the pending change. Call this after the commit."""
        return None if logged is None else PendingChange(logged.seq, logged.leases, self._clock())


class _LoggedChange(NamedTuple):
    seq: int
    leases: list[Lease]


async def _select_cacheable(transaction: Connection, token_id: str) -> list[Secret]:
    """Return the secrets that a guard may have cached: a slow clock may keep an ended one for up to a day."""
    since = datetime.now(UTC) - timedelta(days=1)
    found = await secrets.select_secrets(transaction, "token", token_id)
    return [secret for secret in found if secret.ends_at is None or secret.ends_at > since]


def _require_alive(token: Token) -> datetime:
    """Return the current time. Raise `TokenEnded` if the token is revoked or has expired."""
    now = datetime.now(UTC)
    if token.status(now) in ("revoked", "expired"):
        raise TokenEnded
    return now
