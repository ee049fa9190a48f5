"""What a browser holds after it has opened a voting link: by which link it votes, and as which participant."""

from uuid import UUID

from msgspec import Struct


class VoterPass(Struct, frozen=True, array_like=True):
    """The right to vote by a link as a participant. A browser gets it encrypted, and can neither read nor change it.

    `expires_at_s` is in seconds since 1970; `None` is as long as the link works.
    """

    link_id: UUID
    poll_id: UUID
    participant: str
    expires_at_s: float | None = None
