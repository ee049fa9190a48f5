"""Review tokens: findings of every kind asked for, kind after kind, as far as a page goes."""

from collections.abc import Sequence
from typing import NamedTuple

from services.token_authority.domain.admin_key import AdminKey
from services.token_authority.domain.review import FINDING_KINDS, Advice, FindingKind, Review, advice
from services.token_authority.domain.token import Token
from services.token_authority.storage.review import select_findings
from services.token_authority.storage.usage import Use
from shared.runtime.postgres.database import Connection


class FindingPlace(NamedTuple):
    """Where a finding stands among all."""

    kind: FindingKind
    token_id: str


class Finding(NamedTuple):
    """A token worth a look, and why."""

    kind: FindingKind
    token: Token
    use: Use
    advice: Advice

    @property
    def place(self) -> FindingPlace:
        """Behind this begins the next page."""
        return FindingPlace(self.kind, self.token.id)


async def find(
    connection: Connection,
    review: Review,
    caller: AdminKey,
    kinds: Sequence[FindingKind],
    after: FindingPlace | None,
    limit: int,
) -> list[Finding]:
    """Up to `limit` findings of these kinds among what `caller` sees, in order, from behind the place given."""
    findings: list[Finding] = []
    for kind in sorted(kinds, key=FINDING_KINDS.index):
        if after is not None and FINDING_KINDS.index(kind) < FINDING_KINDS.index(after.kind):
            continue
        behind = after.token_id if after is not None and after.kind == kind else ""
        found = await select_findings(connection, kind, review, caller, behind, limit - len(findings))
        findings += [
            Finding(kind, each.token, each.use, advice(kind, each.token, each.evidence, review)) for each in found
        ]
        if len(findings) == limit:
            break
    return findings
