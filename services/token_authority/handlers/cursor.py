"""Where a page of tokens ends, as an opaque `cursor` for the next one."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec

from services.token_authority.storage.selections import Order
from shared.runtime.problem import BadRequest, Fault


def write_cursor(order: Order, place: str, token_id: str) -> str:
    """The cursor behind this token in this order."""
    return urlsafe_b64encode(msgspec.json.encode((*order, place, token_id))).decode().rstrip("=")


def read_cursor(text: str | None, order: Order) -> tuple[str, str] | None:
    """The place and id to go on behind; `None` for the first page. Raises `BadRequest`."""
    if text is None:
        return None
    try:
        decoded = msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=tuple[str, bool, str, str])
    except (binascii.Error, ValueError, RecursionError):
        raise _invalid("take it unchanged from 'next' of the page before") from None
    key, descending, place, token_id = decoded
    if (key, descending) != order:
        raise _invalid("it is of another order; leave it out to begin anew")
    if "\0" in place + token_id:
        raise _invalid("take it unchanged from 'next' of the page before")
    return place, token_id


def _invalid(remedy: str) -> BadRequest:
    return BadRequest("The cursor is not one of ours.", Fault(remedy, parameter="cursor"))
