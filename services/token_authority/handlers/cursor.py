"""Where a page of tokens or findings ends, as an opaque `cursor` for the next one."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection
from datetime import datetime
from typing import TypeVar

import msgspec

from services.token_authority.domain.review import FindingKind
from services.token_authority.operations.review import FindingPlace
from services.token_authority.storage.selections import Order
from shared.runtime.problem import BadRequest, Fault

T = TypeVar("T")


def write_cursor(order: Order, place: str, token_id: str) -> str:
    """The cursor behind this token in this order."""
    return _written((*order, place, token_id))


def read_cursor(text: str | None, order: Order) -> tuple[str, str] | None:
    """The place and id to go on behind; `None` for the first page. Raises `BadRequest`."""
    if text is None:
        return None
    key, descending, place, token_id = _read(text, tuple[str, bool, str, str])
    if (key, descending) != order:
        raise _invalid("it is of another order; leave it out to begin anew")
    if "\0" in place + token_id or (order.by_time and not _is_time(place)):
        raise _changed()
    return place, token_id


def write_finding_cursor(place: FindingPlace) -> str:
    """The cursor behind this finding."""
    return _written(place)


def read_finding_cursor(text: str | None, kinds: Collection[FindingKind]) -> FindingPlace | None:
    """The place to go on behind; `None` for the first page. Raises `BadRequest`."""
    if text is None:
        return None
    place = FindingPlace(*_read(text, tuple[FindingKind, str]))
    if place.kind not in kinds:
        raise _invalid("it is of another kind of finding; leave it out to begin anew")
    if "\0" in place.token_id:
        raise _changed()
    return place


def _written(place: tuple[object, ...]) -> str:
    return urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def _read(text: str, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=kind)
    except (binascii.Error, ValueError, RecursionError):
        raise _changed() from None


def _is_time(place: str) -> bool:
    """Whether it is a time as PostgreSQL writes one."""
    try:
        return place in ("infinity", "-infinity") or datetime.fromisoformat(place).tzinfo is not None
    except ValueError:
        return False


def _changed() -> BadRequest:
    return _invalid("take it unchanged from 'next' of the page before")


def _invalid(remedy: str) -> BadRequest:
    return BadRequest("The cursor is not one of ours.", Fault(remedy, parameter="cursor"))
