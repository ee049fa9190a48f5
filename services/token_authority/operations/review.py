"""Review tokens: collect findings, one kind after another, until a page is full."""

from collections.abc import Sequence

from services.token_authority.domain.administrator import Rights
from services.token_authority.domain.review import FINDING_KINDS, Finding, FindingKind, FindingPlace, Review, advice
from services.token_authority.storage.review import select_candidates
from shared.runtime.postgres.database import Connection


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
            Finding(kind, each.token, each.use, advice(kind, each.token, each.evidence, review)) for each in found
        ]
        if len(findings) == limit:
            break
    return findings
