"""The opaque `cursor` of the next page of tokens or findings."""

from collections.abc import Collection
from datetime import datetime

from services.token_authority.domain.review import FindingKind, FindingPlace
from services.token_authority.domain.token_page import Order
from shared.runtime.http import cursor


def write_cursor(order: Order, place: str, token_id: str) -> str:
    """Return the cursor after this token in this order."""
    return cursor.write_cursor((*order, place, token_id))


def read_cursor(text: str | None, order: Order) -> tuple[str, str] | None:
    """Return the place and id after which the page begins; `None` for the first page. Raise `BadRequest`."""
    if text is None:
        return None
    key, descending, place, token_id = cursor.read_cursor(text, tuple[str, bool, str, str])
    if (key, descending) != order:
        raise cursor.invalid_cursor("it belongs to another order; leave it out to start again")
    if "\0" in place + token_id or (order.is_by_time and not _is_time(place)):
        raise cursor.changed_cursor()
    return place, token_id


def write_finding_cursor(place: FindingPlace) -> str:
    """Return the cursor after this finding."""
    return cursor.write_cursor(place)


def read_finding_cursor(text: str | None, kinds: Collection[FindingKind]) -> FindingPlace | None:
    """Return the place after which the page begins; `None` for the first page. Raise `BadRequest`."""
    if text is None:
        return None
    place = FindingPlace(*cursor.read_cursor(text, tuple[FindingKind, str]))
    if place.kind not in kinds:
        raise cursor.invalid_cursor("it belongs to another kind of finding; leave it out to start again")
    if "\0" in place.token_id:
        raise cursor.changed_cursor()
    return place


def _is_time(place: str) -> bool:
    """Return whether `place` is a time as PostgreSQL formats it."""
    try:
        return place in ("infinity", "-infinity") or datetime.fromisoformat(place).tzinfo is not None
    except ValueError:
        return False
