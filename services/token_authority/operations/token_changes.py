"""Change, disable, enable and rotate tokens in use.

Every change that concerns guards goes through the change log, as a revocation does, and is effective when they have
confirmed it.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.administrator import Administrator, Rights
from services.token_authority.domain.audit import AuditEntry, audit_fields
from services.token_authority.domain.change_log import LoggedChange
from services.token_authority.domain.errors import TokenEnded, Unauthenticated, UnknownToken
from services.token_authority.domain.lease import Lease, PendingChange
from services.token_authority.domain.secret import MintedSecret, Rotation, Secret
from services.token_authority.domain.self_rotation import (
    ACTIONS_WITH_SECRET,
    MAX_SECRETS_PER_DAY,
    Address,
    require_room,
    require_secret_left,
    require_self_rotation,
)
from services.token_authority.domain.token import Token, TokenLookup
from services.token_authority.domain.token_change import (
    BulkDisabling,
    ChangedToken,
    RotatedToken,
    TokenChange,
    apply_change,
    renew,
    require_alive,
)
from services.token_authority.domain.token_fields import Lifetime
from services.token_authority.operations.first_use import record_first_use
from services.token_authority.operations.idempotency import find_earlier_request
from services.token_authority.operations.rotation import replace_lost_secret, rotate_secret
from services.token_authority.storage import changes, guards, secrets, tokens
from services.token_authority.storage.audit import AuditedTransaction, audited_transaction, select_time_from_end
from services.token_authority.tasks.relay import ChangeRelay
from services.token_authority.tasks.restoration import RestorationWatch
from shared.runtime.postgres.database import Connection, Database


class TokenChanges:
    """Changes tokens in use. Create one instance per process. `clock` is the one that the confirmations use.

    Every method raises `UnknownToken` if there is no such token, or the administrator may not see it.
    """

    def __init__(
        self, database: Database, relay: ChangeRelay, watch: RestorationWatch, *, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._relay = relay
        self._watch = watch
        self._clock = clock

    async def change(self, token_id: str, requested: TokenChange, by: Administrator) -> ChangedToken:
        """Change the fields that are set. A repetition changes nothing, and is as pending as the first change.

        Raise `InvalidValue`, `Widening` or `TokenEnded`.
        """
        async with self._lock(token_id, by.rights) as (transaction, token):
            applied = apply_change(token, requested, datetime.now(UTC))
            await self._update(transaction, token, applied.token, "token.change", by.actor)
            logged = await self._log(transaction, applied.kind, token.id)
        return ChangedToken(applied.token, self._start_pending(logged))

    async def disable(self, token_id: str, reason: str | None, by: Administrator) -> ChangedToken:
        """Disable a token until it is enabled again. A repetition changes nothing, and is as pending as the first."""
        async with self._lock(token_id, by.rights) as (transaction, token):
            now = datetime.now(UTC)
            require_alive(token, now)
            disabled = token
            if token.disabled_at is None:
                disabled = msgspec.structs.replace(
                    token, disabled_at=now, disabled_by=str(by.actor), disabled_reason=reason
                )
            await self._update(transaction, token, disabled, "token.disable", by.actor)
            logged = await self._log(transaction, "disabled", token.id)
        return ChangedToken(disabled, self._start_pending(logged))

    async def disable_selected(self, token_ids: Sequence[str], reason: str | None, by: Administrator) -> BulkDisabling:
        """Disable some tokens, one after another. Skip those that are unknown, were disabled before, or have ended."""
        disabled: list[Token] = []
        pending: list[PendingChange] = []
        for token_id in dict.fromkeys(token_ids):
            with suppress(UnknownToken, TokenEnded):
                before = datetime.now(UTC)
                changed = await self.disable(token_id, reason, by)
                if changed.token.disabled_at is not None and changed.token.disabled_at >= before:
                    disabled.append(changed.token)
                    pending += [changed.pending] if changed.pending else []
        return BulkDisabling(disabled, len(dict.fromkeys(token_ids)) - len(disabled), pending)

    async def enable(self, token_id: str, by: Administrator) -> ChangedToken:
        """Enable a disabled token. A repetition changes nothing."""
        async with self._lock(token_id, by.rights) as (transaction, token):
            now = datetime.now(UTC)
            require_alive(token, now)
            enabled = token
            if token.disabled_at is not None:
                enabled = msgspec.structs.replace(
                    token, disabled_at=None, disabled_by=None, disabled_reason=None, enabled_at=now
                )
            await self._update(transaction, token, enabled, "token.enable", by.actor)
            logged = await self._log(transaction, "enabled" if enabled != token else None, token.id)
        return ChangedToken(enabled, self._start_pending(logged))

    async def rotate(
        self,
        token_id: str,
        rotation: Rotation,
        by: Administrator,
        *,
        lifetime: Lifetime | None = None,
        max_lifetime: timedelta | None = None,
    ) -> RotatedToken:
        """Give a token a new secret and, with a lifetime, a new expiry, which an expired token needs.

        Secrets in use never work longer for it. Raise `InvalidValue`, `TokenEnded`, or an error of `rotate_or_repeat`.
        """
        async with self._lock(token_id, by.rights) as (transaction, token):
            now = datetime.now(UTC)
            earlier = await find_earlier_request(transaction, rotation.key)
            if earlier is not None and earlier.secret_id is not None:
                require_alive(token, now)
                renewed = token
                minted = await replace_lost_secret(transaction, "token", token.id, earlier.secret_id, by.actor, now)
            else:
                renewal = renew(token, lifetime, now, max_lifetime)
                minted = await rotate_secret(transaction, "token", token.id, rotation, by.actor, now, renewal)
                renewed = token if renewal is None else msgspec.structs.replace(token, expires_at=renewal.new_end)
            finished = await self._finish_rotation(transaction, renewed, minted)
        return self._rotated(finished)

    async def rotate_held(
        self, presented: TokenLookup, rotation: Rotation, by: Actor, address: Address | None
    ) -> RotatedToken:
        """Give a token a new secret for its holder, who presented the newest one.

        Raise an error of `require_self_rotation`, `require_room`, `require_secret_left` or `rotate_or_repeat`.
        """
        async with self._lock(presented.token.id) as (transaction, token):
            now = datetime.now(UTC)
            found = await secrets.select_secrets(transaction, "token", token.id)
            secret = next((each for each in found if each.digest == presented.secret.digest), None)
            if secret is None:
                raise Unauthenticated("This secret was replaced by a repeated request.", "Bearer")
            require_self_rotation(token, secret, address, now)
            await record_first_use(transaction, "token", token.id, secret.digest, by, now)
            earlier = await find_earlier_request(transaction, rotation.key)
            if earlier is not None and earlier.secret_id is not None:
                await self._require_secret_left(transaction, token, now)
                minted = await replace_lost_secret(transaction, "token", token.id, earlier.secret_id, by, now)
            else:
                found = await secrets.select_secrets(transaction, "token", token.id)
                require_room(secret, found, rotation, now)
                await self._require_secret_left(transaction, token, now)
                minted = await rotate_secret(transaction, "token", token.id, rotation, by, now)
            finished = await self._finish_rotation(transaction, token, minted)
        return self._rotated(finished)

    async def _require_secret_left(self, transaction: AuditedTransaction, token: Token, now: datetime) -> None:
        subject = f"token:{token.id}"
        limit_at = await select_time_from_end(transaction, subject, ACTIONS_WITH_SECRET, MAX_SECRETS_PER_DAY)
        require_secret_left(limit_at, now)

    async def _finish_rotation(
        self, transaction: AuditedTransaction, token: Token, minted: MintedSecret
    ) -> "_FinishedRotation":
        rotated = msgspec.structs.replace(token, hint=minted.secret.hint)
        await tokens.update_token(transaction, rotated)
        others = [each for each in await _select_cacheable(transaction, token.id) if each.id != minted.secret.id]
        logged = await self._log(transaction, "rotated", token.id, [secret.digest for secret in others])
        old_secrets_end_at = max((secret.ends_at for secret in others if secret.ends_at), default=None)
        return _FinishedRotation(rotated, minted, old_secrets_end_at, logged)

    def _rotated(self, finished: "_FinishedRotation") -> RotatedToken:
        return RotatedToken(*finished[:3], self._start_pending(finished.logged))

    @asynccontextmanager
    async def _lock(
        self, token_id: str, rights: Rights | None = None
    ) -> AsyncGenerator[tuple[AuditedTransaction, Token], None]:
        async with audited_transaction(self._database) as transaction:
            token = await tokens.lock_token(transaction, token_id)
            if token is None or not (rights is None or rights.sees(token)):
                raise UnknownToken(token_id)
            yield transaction, token

    async def _update(
        self, transaction: AuditedTransaction, before: Token, after: Token, action: str, by: Actor
    ) -> None:
        fields = [name for name in Token.__struct_fields__ if getattr(before, name) != getattr(after, name)]
        if not fields:
            transaction.declare_unchanged()
            return
        await tokens.update_token(transaction, after)
        await transaction.record(
            AuditEntry(by, action, f"token:{after.id}", audit_fields(before, fields), audit_fields(after, fields))
        )

    async def _log(
        self, transaction: Connection, kind: str | None, token_id: str, digests: Sequence[bytes] | None = None
    ) -> "_PendingLog | None":
        if kind is None:
            return None
        if digests is None:
            digests = [secret.digest for secret in await _select_cacheable(transaction, token_id)]
        if not digests:  # every older secret ended so long ago that no guard has it in its cache
            return None
        await changes.lock_log(transaction)
        expected = self._watch.newest
        logged = await changes.append_changes(transaction, kind, token_id, digests)
        await self._watch.require_appended(logged, expected)
        return _PendingLog(logged, (await guards.select_leases(transaction)).leases)

    def _start_pending(self, logged: "_PendingLog | None") -> PendingChange | None:
        """Push the change and start waiting for it. Call this after the commit."""
        if logged is None:
            return None
        self._relay.push(logged.changes)
        last = logged.changes[-1]
        return PendingChange(last.seq, logged.leases, self._clock(), last.id)


class _PendingLog(NamedTuple):
    changes: list[LoggedChange]
    leases: list[Lease]


class _FinishedRotation(NamedTuple):
    token: Token
    minted: MintedSecret
    old_secrets_end_at: datetime | None
    logged: _PendingLog | None


async def _select_cacheable(transaction: Connection, token_id: str) -> list[Secret]:
    """Return the secrets that a guard may have cached: a slow clock may keep an ended one for up to a day."""
    since = datetime.now(UTC) - timedelta(days=1)
    found = await secrets.select_secrets(transaction, "token", token_id)
    return [secret for secret in found if secret.ends_at is None or secret.ends_at > since]
