"""What the authority tells every guard when a token stops being what it was."""

from typing import Final, Literal

import msgspec

CHANGES_CHANNEL: Final = "pollgate:changes"
"""The Redis channel on which changes are published, each as the JSON of one `Change`."""


class Change(msgspec.Struct, frozen=True):
    """One row of the change log. `seq` grows by one in commit order; `digest` is the token's SHA-256 in hex."""

    seq: int
    kind: Literal["revoked"]
    token_id: str
    digest: str
