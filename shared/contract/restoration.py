"""What guards report when the authority's database was restored: the changes that they have applied.

While the database is restored, the authority answers with a problem whose type ends with `RESTORED_SLUG`. A guard then
sends the changes that it has kept, once, by `POST /v1/guards/{guard_id}/changes`, authenticated as a service.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from shared.contract.change import Change

RESTORED_SLUG: Final = "restored"
"""The end of the problem type by which the authority says that its database was restored."""
MAX_CHANGES_REPORTED: Final = 500
"""Changes per request."""
MAX_REPORT_BYTES: Final = 256 * 1024
"""Enough for as many changes."""


class ChangesReport(msgspec.Struct, frozen=True):
    """Changes that a guard has applied, each with its receipt."""

    changes: Annotated[list[Change], Meta(max_length=MAX_CHANGES_REPORTED)]
