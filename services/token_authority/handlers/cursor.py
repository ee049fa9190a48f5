"""Where a page of tokens ends, as an opaque `cursor` for the next one."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec

from shared.runtime.problem import BadRequest, Fault


def write_cursor(name: str, token_id: str) -> str:
    """The cursor behind this token."""
    return urlsafe_b64encode(msgspec.json.encode((name, token_id))).decode().rstrip("=")


def read_cursor(text: str) -> tuple[str, str]:
    """The name and id to go on behind; empty ones for the first page. Raises `BadRequest`."""
    if not text:
        return ("", "")
    try:
        decoded = msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=tuple[str, str])
    except (binascii.Error, ValueError, RecursionError):
        decoded = ("\0", "")
    if any("\0" in part for part in decoded):
        fault = Fault("take it unchanged from 'next' of the page before", parameter="cursor")
        raise BadRequest("The cursor is not one of ours.", fault)
    return decoded
