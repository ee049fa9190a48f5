"""The format of every secret that Pollgate creates. A mistyped or made-up secret is recognized without a lookup.

A secret is `<prefix>_`, 32 random base62 characters (190.5 bits), and 6 base62 characters that are the CRC-32 of
everything before them: 42 characters that need no escaping in a URL and that a secret scanner finds by
`SECRET_PATTERN`.
"""

import hashlib
import re
import secrets
import string
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from typing import Final, Literal, cast, get_args

Prefix = Literal["pgt", "pga", "pgs", "pgl"]

ACCESS_TOKEN: Final = "pgt"
ADMIN_KEY: Final = "pga"
CLIENT_SECRET: Final = "pgs"
VOTING_LINK: Final = "pgl"

SECRET_NAMES: Final[Mapping[str, str]] = {
    ACCESS_TOKEN: "an access token",
    ADMIN_KEY: "an admin key",
    CLIENT_SECRET: "a client secret",
    VOTING_LINK: "a voting link",
}
"""What a secret with each prefix is called in messages."""

SECRET_START: Final = "pg"
"""How every secret begins."""

SECRET_PATTERN: Final = re.compile(r"pg[alst]_[0-9A-Za-z]{38}")
"""Matches every Pollgate secret in a text; confirm a match with `is_well_formed`."""

_PREFIXES: Final[tuple[Prefix, ...]] = get_args(Prefix)
_BASE62: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_PAIRS: Final = [high + low for high in _BASE62 for low in _BASE62]
"""Pairs of digits, which halve the divisions: every request computes a checksum."""
_RANDOM_LENGTH: Final = 32
_CHECKSUM_LENGTH: Final = 6


def mint(prefix: Prefix) -> str:
    """Return a new secret from the operating system's random number generator."""
    unsigned = f"{prefix}_{random_base62(_RANDOM_LENGTH)}"
    return unsigned + _checksum(unsigned)


def is_well_formed(secret: str, prefix: Prefix) -> bool:
    """Return whether `secret` has the prefix, alphabet, length and checksum of a Pollgate secret."""
    return (
        secret.startswith(f"{prefix}_")
        and SECRET_PATTERN.fullmatch(secret) is not None
        and _checksum(secret[:-_CHECKSUM_LENGTH]) == secret[-_CHECKSUM_LENGTH:]
    )


def find_prefix(text: str) -> Prefix | None:
    """Return the prefix of a well-formed secret, whether or not it works; `None` for any other text."""
    return next((prefix for prefix in _PREFIXES if is_well_formed(text, prefix)), None)


def digest(secret: str) -> bytes:
    """Return the SHA-256 of a secret, 32 bytes, which is stored instead of the secret.

    One round without salt is enough: a secret has 190 random bits and cannot be guessed like a password.
    """
    return _sha256(secret.encode()).digest()


def _find_sha256() -> Callable[[bytes], "hashlib._Hash"]:
    """Return CPython's own SHA-256, which needs half of the time of OpenSSL's for a text as short as a secret."""
    for module in ("_sha2", "_sha256"):  # since Python 3.12, and before
        with suppress(ImportError):
            return cast(Callable[[bytes], "hashlib._Hash"], import_module(module).sha256)
    return hashlib.sha256


_sha256: Final = _find_sha256()


def hint(secret: str) -> str:
    """Return the part of a secret that may be shown later to recognize it: `pgt_…w9Zq`."""
    return f"{secret[:4]}…{secret[-4:]}"


def random_base62(length: int) -> str:
    """Return `length` random characters of `0-9A-Za-z`, 5.95 bits each."""
    return "".join(secrets.choice(_BASE62) for _ in range(length))


def _checksum(unsigned: str) -> str:
    rest, last = divmod(zlib.crc32(unsigned.encode()), len(_PAIRS))
    first, middle = divmod(rest, len(_PAIRS))
    return _PAIRS[first] + _PAIRS[middle] + _PAIRS[last]
