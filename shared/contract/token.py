"""The spelling of every secret that Pollgate makes, so that a mistyped or made-up one is refused without asking.

A secret is `<prefix>_`, 32 random base62 characters (190.5 bits), and 6 base62 characters that are the CRC-32 of
all that stands before them: 42 characters that need no escaping in a URL and that a secret scanner finds by
`SECRET_PATTERN`.
"""

import hashlib
import re
import secrets
import string
import zlib
from typing import Final, Literal

Prefix = Literal["pgt", "pga", "pgs"]

ACCESS_TOKEN: Final = "pgt"
ADMIN_KEY: Final = "pga"
CLIENT_SECRET: Final = "pgs"

SECRET_PATTERN: Final = re.compile(r"pg[ats]_[0-9A-Za-z]{38}")
"""Finds every secret of ours in a text; confirm a find with `is_well_formed`."""

_BASE62: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_PAIRS: Final = [high + low for high in _BASE62 for low in _BASE62]
"""Two digits at a time, for every request has its checksum computed."""
_RANDOM_LENGTH: Final = 32
_CHECKSUM_LENGTH: Final = 6


def mint(prefix: Prefix) -> str:
    """A new secret from the operating system's randomness."""
    unsigned = f"{prefix}_{random_base62(_RANDOM_LENGTH)}"
    return unsigned + _checksum(unsigned)


def is_well_formed(secret: str, prefix: Prefix) -> bool:
    """Whether `secret` has the prefix, the alphabet, the length and the checksum of one of ours."""
    return (
        SECRET_PATTERN.fullmatch(secret) is not None
        and secret.startswith(f"{prefix}_")
        and _checksum(secret[:-_CHECKSUM_LENGTH]) == secret[-_CHECKSUM_LENGTH:]
    )


def digest(secret: str) -> bytes:
    """The 32 bytes of SHA-256 that stand for a secret wherever it is kept.

    One round without salt is enough: a secret is 190 random bits, not a password that could be guessed.
    """
    return hashlib.sha256(secret.encode()).digest()


def hint(secret: str) -> str:
    """What may be shown of a secret later, for recognition: `pgt_…w9Zq`."""
    return f"{secret[:4]}…{secret[-4:]}"


def random_base62(length: int) -> str:
    """`length` characters of `0-9A-Za-z`, 5.95 bits each."""
    return "".join(secrets.choice(_BASE62) for _ in range(length))


def _checksum(unsigned: str) -> str:
    rest, last = divmod(zlib.crc32(unsigned.encode()), len(_PAIRS))
    first, middle = divmod(rest, len(_PAIRS))
    return _PAIRS[first] + _PAIRS[middle] + _PAIRS[last]
