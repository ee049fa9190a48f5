"""A simulated PostgreSQL for the authority's change log: committed state, transactions, row locks and advisory locks.

The real storage functions run against it; a statement is identified by the name in its first line. As under READ
COMMITTED, each statement sees the state that is committed when it runs; others see writes from the commit on.
"""

import asyncio
import random
import re
import uuid
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from contextvars import Context
from copy import deepcopy
from datetime import UTC, datetime
from functools import partial
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec

from services.token_authority.domain.change_log import LoggedChange
from shared.runtime.postgres.database import DatabaseUnavailable, Row
from tests.simulation.loop import NODE, Node

STATEMENT_TIMEOUT_S: Final = 1.5
IDLE_TIMEOUT_S: Final = 2.0
TRANSACTION_LIMIT_S: Final = 2.0

EPOCH_OF_1970: Final = datetime.fromtimestamp(0, UTC)
TOKEN_ROW: Final[Row] = {
    **dict.fromkeys(
        (
            *("owner", "rate_limit", "expires_at", "disabled_at", "disabled_by", "disabled_reason", "revoked_by"),
            *("revoked_reason", "revoked_text", "late_use_at", "enabled_at", "ends_at", "last_used_at"),
            "last_late_use_at",
        )
    ),
    "site_id": "site",
    "endpoint_id": "endpoint",
    "name": "a token",
    "description": "",
    "scopes": ["polls:*:*"],
    "allow_query": True,
    "allowed_ips": [],
    "metadata": "{}",
    "hint": "",
    "created_by": "system",
    "created_at": EPOCH_OF_1970,
    "self_rotation": False,
    "secret_id": "sec_1",
    "holder_id": "tok_1",
    "secret_hint": "",
    "secret_created_at": EPOCH_OF_1970,
    "ends_on_use": False,
    "first_used_at": EPOCH_OF_1970,
    "late_uses": 0,
}
"""The columns of a token and its secret that do not matter here."""

_NAME: Final = re.compile(r"--\s+(\w+):")


class Transaction:
    """The writes of a transaction. It ends by commit, or when the server aborts it."""

    def __init__(self, node: Node | None) -> None:
        self.node = node
        self.open = True
        self.committing = False
        self.writes: list[Callable[[], None]] = []
        self.appended = 0
        self.steps = 0


class LogLock:
    """The advisory lock, shared or exclusive. Waiters are served first come, first served."""

    def __init__(self) -> None:
        self._holders: dict[Transaction, bool] = {}
        self._queue: deque[tuple[Transaction, bool, asyncio.Future[None]]] = deque()

    async def acquire(self, transaction: Transaction, *, shared: bool) -> None:
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((transaction, shared, granted))
        self._grant_waiting()
        try:
            async with asyncio.timeout(STATEMENT_TIMEOUT_S):
                await granted
        except TimeoutError:
            self._queue = deque(entry for entry in self._queue if entry[2] is not granted)
            self._grant_waiting()
            raise DatabaseUnavailable("canceling statement due to statement timeout") from None

    def release(self, transaction: Transaction) -> None:
        self._holders.pop(transaction, None)
        self._queue = deque(entry for entry in self._queue if entry[0] is not transaction)
        self._grant_waiting()

    def _grant_waiting(self) -> None:
        while self._queue:
            transaction, shared, granted = self._queue[0]
            if self._holders and not (shared and all(self._holders.values())):
                return
            self._queue.popleft()
            self._holders[transaction] = shared
            granted.set_result(None)


class Server:
    """The committed state and the open transactions. The promise must not depend on `now`, the server's wall clock."""

    def __init__(self, chance: random.Random, now: Callable[[], float]) -> None:
        self.chance = chance
        self.now = now
        self.tokens: dict[str, dict[str, Any]] = {}
        self.log: list[LoggedChange] = []
        self.restoration: dict[str, Any] | None = None
        self.reported: dict[tuple[int, uuid.UUID], dict[str, Any]] = {}
        self.leases: dict[tuple[str, str], dict[str, Any]] = {}
        self.log_lock = LogLock()
        self.row_locks: dict[str, Transaction] = {}
        self.open: set[Transaction] = set()
        self.slow_s = 0.0

    def add_token(self, token_id: str, digest: bytes) -> None:
        """Add an active token."""
        self.tokens[token_id] = {"digest": digest, "ended": False, "revoked_at": None, "revoked_seq": None}

    def works(self, token_id: str) -> bool:
        """Return whether a token works."""
        token = self.tokens[token_id]
        return token["revoked_at"] is None and not token["ended"]

    @property
    def head(self) -> int:
        """The newest number in the log."""
        return self.log[-1].seq if self.log else 0

    def back_up(self) -> "Backup":
        """Return a copy of the committed state."""
        return Backup(deepcopy(self.tokens), list(self.log), deepcopy(self.leases))

    def go_back(self, backup: "Backup") -> None:
        """Return to an earlier state, as by a restore: every open transaction is lost."""
        for transaction in list(self.open):
            self.end(transaction)
        self.tokens, self.log, self.leases = deepcopy(backup.tokens), list(backup.log), deepcopy(backup.leases)
        self.reported, self.restoration = {}, None

    def begin_restoration(self, evidence: bytes | str, expected_seq: int) -> None:
        """Open a restoration."""
        columns = {"finished_at": None, "finished_by": None, "how": None}
        began_at = datetime.fromtimestamp(self.now(), UTC)
        restoration_id = self.new_id()
        self.restoration = {
            "id": restoration_id,
            "began_at": began_at,
            "evidence": evidence,
            "expected_seq": expected_seq,
            **columns,
        }

    def new_id(self) -> uuid.UUID:
        """Return a random id."""
        return uuid.UUID(int=self.chance.getrandbits(128))

    def append(self, changed: Iterable[tuple[int, bytes, uuid.UUID]]) -> None:
        """Append changes to the log."""
        at = datetime.fromtimestamp(self.now(), UTC)
        self.log += [LoggedChange(seq, digest.hex(), change_id, at) for seq, digest, change_id in changed]

    def lose(self, node: Node) -> None:
        """Abort the transactions of a killed node after a random delay, when the server notices its end."""
        for transaction in [each for each in self.open if each.node is node]:
            delay_s = self.chance.uniform(0, 0.3)
            asyncio.get_running_loop().call_later(delay_s, self.abort, transaction, context=Context())

    def begin(self, node: Node | None) -> Transaction:
        transaction = Transaction(node)
        self.open.add(transaction)
        return transaction

    def abort(self, transaction: Transaction) -> None:
        """Abort the transaction of a client that is gone or done. A COMMIT that it has sent is still executed."""
        if not transaction.committing:
            self.end(transaction)

    def end(self, transaction: Transaction) -> None:
        """Release the locks of a transaction and drop what it has not committed."""
        transaction.open = False
        self.open.discard(transaction)
        self.row_locks = {token: holder for token, holder in self.row_locks.items() if holder is not transaction}
        self.log_lock.release(transaction)

    async def pause(self) -> None:
        """Wait for the network, one way."""
        await asyncio.sleep(self.chance.uniform(0, self.slow_s) if self.slow_s else self.chance.expovariate(1000))


class Backup(NamedTuple):
    """A copy of the committed state."""

    tokens: dict[str, dict[str, Any]]
    log: list[LoggedChange]
    leases: dict[tuple[str, str], dict[str, Any]]

    @property
    def head(self) -> int:
        """The newest number in the log."""
        return self.log[-1].seq if self.log else 0

    def works(self, token_id: str) -> bool:
        """Return whether a token works."""
        return self.tokens[token_id]["revoked_at"] is None and not self.tokens[token_id]["ended"]


class Database:
    """A node's connection pool. It replaces `shared.runtime.postgres.database.Database`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def fetch(self, query: str, *arguments: Any) -> list[Row]:
        transaction = self._server.begin(NODE.get(None))
        try:
            return await Session(self._server, transaction).fetch(query, *arguments, commit=True)
        finally:
            self._server.abort(transaction)

    async def fetchrow(self, query: str, *arguments: Any) -> Row | None:
        rows = await self.fetch(query, *arguments)
        return rows[0] if rows else None

    async def execute(self, query: str, *arguments: Any, limit_s: float | None = None) -> str:
        await self.fetch(query, *arguments)
        return ""

    @asynccontextmanager
    async def transaction(self, limit_s: float | None = None) -> AsyncGenerator["Session", None]:
        transaction = self._server.begin(NODE.get(None))
        session = Session(self._server, transaction)
        try:
            async with asyncio.timeout(limit_s or TRANSACTION_LIMIT_S):
                yield session
                await session.commit()
        except TimeoutError:
            raise DatabaseUnavailable("no answer within the time limit") from None
        finally:
            self._server.abort(transaction)

    contended_transaction = transaction


class Session:
    """The statements of one transaction. They run at the server, even if the node is stopped or killed meanwhile."""

    def __init__(self, server: Server, transaction: Transaction) -> None:
        self._server = server
        self._transaction = transaction

    async def fetch(self, query: str, *arguments: Any, commit: bool = False) -> list[Row]:
        found = _NAME.search(query)
        assert found, query
        return await self._at_server(f"_{found[1]}", arguments, commit=commit)

    async def fetchrow(self, query: str, *arguments: Any) -> Row | None:
        rows = await self.fetch(query, *arguments)
        return rows[0] if rows else None

    async def execute(self, query: str, *arguments: Any, limit_s: float | None = None) -> str:
        await self.fetch(query, *arguments)
        return ""

    async def limit_statements(self, limit_s: float) -> None:
        """Do nothing: statements that wait for locks keep their limit."""

    async def commit(self) -> None:
        """Commit. Others then see the writes, even if the node does not live to receive the answer."""
        await self._at_server("_nothing", (), commit=True)

    async def _at_server(self, statement: str, arguments: tuple[Any, ...], *, commit: bool) -> list[Row]:
        loop = asyncio.get_running_loop()
        self._transaction.committing = commit
        coroutine = self._run(statement, arguments, commit=commit)
        task = loop.create_task(coroutine, context=Context())
        done, _ = await asyncio.wait({task})
        return done.pop().result()

    async def _run(self, statement: str, arguments: tuple[Any, ...], *, commit: bool) -> list[Row]:
        await self._server.pause()
        if not self._transaction.open:
            raise DatabaseUnavailable("terminating connection due to idle-in-transaction timeout")
        rows = getattr(self, statement)(*arguments)
        if asyncio.iscoroutine(rows):
            rows = await rows
        self._transaction.steps += 1
        if commit:
            for write in self._transaction.writes:
                write()
            self._server.end(self._transaction)
        else:
            step = self._transaction.steps
            asyncio.get_running_loop().call_later(IDLE_TIMEOUT_S, self._end_if_idle, step, context=Context())
        await self._server.pause()
        return rows or []

    def _end_if_idle(self, step: int) -> None:
        if self._transaction.open and self._transaction.steps == step:
            self._server.end(self._transaction)

    def _nothing(self) -> None:
        return None

    async def _lock_log(self, _key: int) -> None:
        await self._server.log_lock.acquire(self._transaction, shared=False)

    async def _lock_log_shared(self, _key: int) -> None:
        await self._server.log_lock.acquire(self._transaction, shared=True)

    async def _lock_alive(self, token_ids: list[str]) -> list[Row]:
        locks = self._server.row_locks
        deadline = asyncio.get_running_loop().time() + STATEMENT_TIMEOUT_S
        for token_id in token_ids:
            while locks.get(token_id, self._transaction) is not self._transaction:
                if asyncio.get_running_loop().time() > deadline:
                    raise DatabaseUnavailable("canceling statement due to statement timeout")
                await self._server.pause()
                locks = self._server.row_locks
            locks[token_id] = self._transaction
        tokens = self._server.tokens
        return [{"id": each} for each in token_ids if each in tokens and tokens[each]["revoked_at"] is None]

    def _append_revocations(self, token_ids: list[str], *_why: str | None) -> list[Row]:
        server = self._server
        head = server.head + self._transaction.appended
        self._transaction.appended += len(token_ids)
        revoked_at = datetime.fromtimestamp(server.now(), UTC)
        rows = [(head + place, token_id, server.new_id()) for place, token_id in enumerate(token_ids, start=1)]

        def write() -> None:
            server.append((seq, server.tokens[token_id]["digest"], change_id) for seq, token_id, change_id in rows)
            for seq, token_id, _ in rows:
                server.tokens[token_id].update(revoked_at=revoked_at, revoked_seq=seq)

        self._transaction.writes.append(write)
        return [
            {
                "revoked_at": revoked_at,
                "seq": seq,
                "digest": server.tokens[token_id]["digest"].hex(),
                "id": change_id,
                "recorded_at": revoked_at,
            }
            for seq, token_id, change_id in rows
        ]

    def _state(self) -> Row:
        head = self._server.head + self._transaction.appended
        return {"head": head, "as_of": head, "is_restored": self._server.restoration is not None}

    def _select_leases(self) -> list[Row]:
        leases = self._server.leases.items()
        found: list[Row] = [{"client_id": key[0], "guard_id": key[1], **row, **self._state()} for key, row in leases]
        return found or [{"guard_id": None, **self._state()}]

    def _select_longest_lease(self) -> list[Row]:
        return [{"lease_ms": max((row["lease_ms"] for row in self._server.leases.values()), default=0)}]

    def _delete_leases(self) -> None:
        self._transaction.writes.append(self._server.leases.clear)

    def _renew_leases(self, client_ids: list[str], guard_ids: list[str], applied: list[int], lease_ms: int) -> None:
        rows = {}
        for client_id, guard_id, seq in zip(client_ids, guard_ids, applied, strict=True):
            renewal = uuid.UUID(int=self._server.chance.getrandbits(128))
            rows[client_id, guard_id] = {"applied": seq, "lease_ms": lease_ms, "renewal": renewal}

        def write() -> None:
            for key, row in rows.items():
                longest_ms = max(lease_ms, self._server.leases.get(key, row)["lease_ms"])
                self._server.leases[key] = {**row, "lease_ms": longest_ms}

        self._transaction.writes.append(write)

    def _release_lease(self, client_id: str, guard_id: str) -> None:
        self._server.leases.pop((client_id, guard_id), None)

    def _remove_expired(self, client_id: str, guard_id: str, renewal: uuid.UUID) -> list[Row]:
        row = self._server.leases.get((client_id, guard_id))
        if row is None or row["renewal"] != renewal:
            return []
        del self._server.leases[client_id, guard_id]
        return [{"guard_id": guard_id}]

    def _select_range(self) -> list[Row]:
        log = self._server.log
        newest = msgspec.structs.asdict(log[-1]) if log else {"seq": None}
        return [{**newest, "floor": log[0].seq - 1 if log else 0, **self._state()}]

    def _select_head(self) -> list[Row]:
        return [self._state()]

    def _select_changes(self, after: int) -> list[Row]:
        return [msgspec.structs.asdict(change) for change in self._server.log if change.seq > after]

    def _select_change_ids(self, seqs: list[int]) -> list[Row]:
        return [msgspec.structs.asdict(change) for change in self._server.log if change.seq in seqs]

    def _delete_log(self) -> None:
        self._transaction.writes.append(self._server.log.clear)

    def _insert_epoch(self, seq: int, digest: bytes) -> None:
        change_id = self._server.new_id()
        self._transaction.writes.append(lambda: self._server.append([(seq, digest, change_id)]))

    def _begin_restoration(self, evidence: str, expected_seq: int, epoch_size: int) -> list[Row]:
        server = self._server
        is_finished = expected_seq > 0 and expected_seq // epoch_size < server.head // epoch_size
        if server.restoration is not None or is_finished:
            return []
        server.begin_restoration(evidence, expected_seq)
        assert server.restoration is not None
        return [server.restoration]

    def _select_open_restoration(self) -> list[Row]:
        return [self._server.restoration] if self._server.restoration is not None else []

    def _lock_open_restoration(self) -> list[Row]:
        return self._select_open_restoration()

    def _finish_restoration(self, _id: uuid.UUID, _by: str, _how: str) -> None:
        self._transaction.writes.append(lambda: setattr(self._server, "restoration", None))

    def _insert_reported_changes(
        self, _id: uuid.UUID, seqs: list[int], ids: list[uuid.UUID], digests: list[bytes], client_id: str
    ) -> None:
        known = {(change.seq, change.id) for change in self._server.log}
        floor = self._server.log[0].seq - 1 if self._server.log else 0
        for seq, change_id, digest in zip(seqs, ids, digests, strict=True):
            if seq > floor and (seq, change_id) not in known:
                row = {"seq": seq, "change_id": change_id, "digest": digest, "reported_by": [client_id]}
                self._server.reported.setdefault((seq, change_id), row)

    def _select_reported_changes(self, _id: uuid.UUID) -> list[Row]:
        return [self._server.reported[key] for key in sorted(self._server.reported)]

    def _end_reported_secrets(self, digests: list[bytes]) -> list[Row]:
        tokens = self._server.tokens
        ended = [each for each, token in tokens.items() if token["digest"] in digests and not token["ended"]]
        self._transaction.writes += [partial(tokens[each].update, ended=True) for each in ended]
        return [{"id": each, "holder_id": each} for each in ended]

    def _revoke_working_tokens(self, seq: int, *_why: str | None) -> list[Row]:
        tokens, at = self._server.tokens, datetime.fromtimestamp(self._server.now(), UTC)
        working = [each for each, token in tokens.items() if token["revoked_at"] is None]
        self._transaction.writes += [partial(tokens[each].update, revoked_at=at, revoked_seq=seq) for each in working]
        return [{"id": each} for each in working]

    def _delete_sessions(self) -> None:
        return None

    def _delete_links(self) -> None:
        return None

    def _select_latest_revocation(self, token_ids: list[str]) -> list[Row]:
        found = (self._server.tokens[each] for each in token_ids if each in self._server.tokens)
        ended: list[Row] = [token for token in found if token["revoked_at"] is not None]
        return sorted(ended, key=itemgetter("revoked_seq"))[-1:]

    def _select_matching(self, after: str, _limit: int, ids: list[str]) -> list[Row]:
        return [{"id": each} for each in sorted(self._server.tokens) if each > after and each in ids]

    def _lock_audit(self, _key: int) -> None:
        return None

    def _select_audit_head(self) -> list[Row]:
        now = datetime.fromtimestamp(self._server.now(), UTC)
        return [{"hash": None, "now": now, **self._state(), "seq": 0}]

    def _insert_audit(self, *_columns: Any) -> None:
        return None

    def _select_tokens_by_digests(self, digests: Collection[bytes]) -> list[Row]:
        found: list[Row] = [
            {**TOKEN_ROW, "id": token_id, "secret_digest": token["digest"], **token, **self._state()}
            for token_id, token in self._server.tokens.items()
            if token["digest"] in digests
        ]
        return found or [{"id": None, **self._state()}]

    def _add_refusal(self, *_columns: Any) -> None:
        return None

    def _note_late_use(self, *_columns: Any) -> None:
        return None

    def _note_late_use_of_secret(self, *_columns: Any) -> None:
        return None

    def _trim_log(self, _recorded_before: datetime) -> None:
        needed = min((row["applied"] for row in self._server.leases.values()), default=1 << 62)

        def write() -> None:
            self._server.log = [row for row in self._server.log[:-1] if row.seq >= needed] + self._server.log[-1:]

        self._transaction.writes.append(write)
