"""Where a page of tokens or findings ends, as an opaque `cursor` for the next one."""

from collections.abc import Collection
from datetime import datetime

from services.token_authority.domain.review import FindingKind
from services.token_authority.operations.review import FindingPlace
from services.token_authority.storage.selections import Order
from shared.runtime.http import cursor


def write_cursor(order: Order, place: str, token_id: str) -> str:
    """The cursor behind this token in this order."""
    return cursor.write_cursor((*order, place, token_id))


def read_cursor(text: str | None, order: Order) -> tuple[str, str] | None:
    """The place and id to go on behind; `None` for the first page. Raises `BadRequest`."""
    if text is None:
        return None
    key, descending, place, token_id = cursor.read_cursor(text, tuple[str, bool, str, str])
    if (key, descending) != order:
        raise cursor.invalid_cursor("it is of another order; leave it out to begin anew")
    if "\0" in place + token_id or (order.by_time and not _is_time(place)):
        raise cursor.changed_cursor()
    return place, token_id


def write_finding_cursor(place: FindingPlace) -> str:
    """The cursor behind this finding."""
    return cursor.write_cursor(place)


def read_finding_cursor(text: str | None, kinds: Collection[FindingKind]) -> FindingPlace | None:
    """The place to go on behind; `None` for the first page. Raises `BadRequest`."""
    if text is None:
        return None
    place = FindingPlace(*cursor.read_cursor(text, tuple[FindingKind, str]))
    if place.kind not in kinds:
        raise cursor.invalid_cursor("it is of another kind of finding; leave it out to begin anew")
    if "\0" in place.token_id:
        raise cursor.changed_cursor()
    return place


def _is_time(place: str) -> bool:
    """Whether it is a time as PostgreSQL writes one."""
    try:
        return place in ("infinity", "-infinity") or datetime.fromisoformat(place).tzinfo is not None
    except ValueError:
        return False
