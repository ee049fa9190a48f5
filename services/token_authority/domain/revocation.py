"""Results of revocations: of one token, and of every token in a selection."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from services.token_authority.domain.change_log import LoggedChange
from services.token_authority.domain.lease import PendingChange


class Revoked(Struct, frozen=True):
    """When tokens were revoked, the `seq` of the last of their changes in the log, and the changes to publish."""

    revoked_at: datetime
    seq: int
    changes: Sequence[LoggedChange] = ()


class Revocation(Struct, frozen=True):
    """A committed revocation. `tokens` is how many tokens this call revoked, 0 if they were already revoked."""

    tokens: int
    revoked_at: datetime
    pending: PendingChange


class BulkRevocation(Struct, frozen=True):
    """The revocation of a selection. `unmatched` are the ids in the selection that match no token.

    `revocation` is effective no earlier than that of each token; it is `None` if no token matches the selection.
    """

    revoked: int
    already_revoked: int
    unmatched: list[str]
    revocation: Revocation | None
