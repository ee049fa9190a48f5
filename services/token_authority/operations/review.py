"""Review tokens: collect findings until a page is full, keep findings, and record that a review is complete."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from services.token_authority.domain.administrator import Administrator, Rights
from services.token_authority.domain.audit import AuditEntry
from services.token_authority.domain.errors import Forbidden, UnknownToken
from services.token_authority.domain.review import (
    FINDING_KINDS,
    Finding,
    FindingKind,
    FindingPlace,
    KeptFinding,
    Review,
    ReviewCompletion,
    advice,
    new_kept_finding,
)
from services.token_authority.domain.token_change import require_alive
from services.token_authority.storage import tokens
from services.token_authority.storage.audit import audited_transaction, select_latest_action
from services.token_authority.storage.kept_findings import upsert_kept_finding
from services.token_authority.storage.review import select_candidates
from shared.runtime.postgres.database import Connection, Database

REVIEW_SUBJECT: Final = "review:tokens"
REVIEW_COMPLETE: Final = "review.complete"


async def collect_findings(
    connection: Connection,
    review: Review,
    rights: Rights,
    kinds: Sequence[FindingKind],
    after: FindingPlace | None,
    limit: int,
) -> list[Finding]:
    """Return up to `limit` findings of these kinds, in order and after a place, among the tokens within `rights`."""
    findings: list[Finding] = []
    for kind in sorted(kinds, key=FINDING_KINDS.index):
        if after is not None and FINDING_KINDS.index(kind) < FINDING_KINDS.index(after.kind):
            continue
        after_id = after.token_id if after is not None and after.kind == kind else ""
        found = await select_candidates(connection, kind, review, rights, after_id, limit - len(findings))
        findings += [
            Finding(kind, each.token, each.use, advice(kind, each.token, each.evidence, review), each.kept)
            for each in found
        ]
        if len(findings) == limit:
            break
    return findings


async def keep_finding(
    database: Database, token_id: str, kind: FindingKind, days: int, by: Administrator, now: datetime
) -> KeptFinding:
    """Leave a finding of a token out of reviews for these days, counted from `now` also if it is kept already.

    Raise `UnknownToken`, `TokenEnded` or `InvalidValue`.
    """
    kept = new_kept_finding(token_id, kind, days, str(by.actor), now)
    async with audited_transaction(database) as transaction:
        token = await tokens.lock_token(transaction, token_id)
        if token is None or not by.rights.sees(token):
            raise UnknownToken(token_id)
        require_alive(token, now)
        await upsert_kept_finding(transaction, kept)
        after = {"kind": kind, "kept_until": msgspec.to_builtins(kept.kept_until)}
        await transaction.record(AuditEntry(by.actor, "token.keep", f"token:{token_id}", after=after))
    return kept


async def complete_review(database: Database, by: Administrator) -> ReviewCompletion:
    """Record that the administrator has completed a review of all tokens, at the time of the audit record.

    Raise `Forbidden` for rights with limits, which do not show all tokens.
    """
    if not by.rights.sees_all:
        raise Forbidden("A review of all tokens can only be completed by an admin key without limits.")
    async with audited_transaction(database) as transaction:
        await transaction.record(AuditEntry(by.actor, REVIEW_COMPLETE, REVIEW_SUBJECT))
        completion = await select_last_completion(transaction)
    if completion is None:
        raise RuntimeError("the audit log has no record of the review that was just completed")
    return completion


async def select_last_completion(connection: Connection) -> ReviewCompletion | None:
    """Return when a review was last completed, and by which administrator; `None` if never."""
    latest = await select_latest_action(connection, REVIEW_SUBJECT, REVIEW_COMPLETE)
    return None if latest is None else ReviewCompletion(latest[0], str(latest[1]))
