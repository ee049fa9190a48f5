"""The rules of each thing that is said of a token. All raise `InvalidValue`."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final, Literal
from urllib.parse import unquote

import msgspec

from services.token_authority.domain.errors import InvalidValue
from shared.contract.scope import Scope, ScopeError
from shared.contract.token import SECRET_PATTERN

MAX_NAME_LENGTH: Final = 255
MAX_DESCRIPTION_LENGTH: Final = 2000
MAX_SCOPES: Final = 100
MAX_SCOPES_LENGTH: Final = 16_384
MAX_NETWORKS: Final = 100
MAPPED: Final = 96
MAX_RATE: Final = 1_000_000
MAX_METADATA_BYTES: Final = 4096
MAX_METADATA_DEPTH: Final = 16
LAST_EXPIRY: Final = datetime(9999, 1, 1, tzinfo=UTC)
DAY_S: Final = 86_400

Preset = Literal["7d", "30d", "90d", "365d", "never"]
"""How long a token usually lives."""

_PRESETS: Final[dict[Preset, int | None]] = {
    "7d": 7 * DAY_S,
    "30d": 30 * DAY_S,
    "90d": 90 * DAY_S,
    "365d": 365 * DAY_S,
    "never": None,
}


def without_secret(field: str, text: str) -> str:
    """A text that will be stored and shown, and so may hold no secret of ours."""
    if SECRET_PATTERN.search(text):
        raise InvalidValue((field,), "this holds a secret, which is stored and shown nowhere; take it out, and end it")
    return text


def checked_text(field: str, text: str, limit: int = MAX_NAME_LENGTH) -> str:
    """A name: something to see, on one line."""
    if not 1 <= len(text) <= limit:
        raise InvalidValue((field,), f"1 to {limit} characters; this has {len(text)}")
    if text.isspace() or not text.isprintable():
        raise InvalidValue((field,), "something to see, and no control characters")
    return without_secret(field, text)


def checked_description(text: str) -> str:
    """What there is to say of it, on any number of lines."""
    if len(text) > MAX_DESCRIPTION_LENGTH:
        raise InvalidValue(("description",), f"at most {MAX_DESCRIPTION_LENGTH} characters; this has {len(text)}")
    if not text.replace("\n", " ").replace("\t", " ").isprintable():
        raise InvalidValue(("description",), "no control characters but tabs and line feeds")
    return without_secret("description", text)


def checked_scopes(texts: Sequence[str]) -> tuple[Scope, ...]:
    """The scopes, each once."""
    if not 1 <= len(texts) <= MAX_SCOPES:
        raise InvalidValue(("scopes",), f"1 to {MAX_SCOPES} scopes; these are {len(texts)}")
    if sum(map(len, texts)) > MAX_SCOPES_LENGTH:
        raise InvalidValue(("scopes",), f"at most {MAX_SCOPES_LENGTH} characters in all; name fewer or wider places")
    scopes = []
    for index, text in enumerate(texts):
        without_secret("scopes", unquote(text))
        try:
            scopes.append(Scope.parse(text))
        except ScopeError as error:
            raise InvalidValue(("scopes", index), str(error)) from None
    return tuple(dict.fromkeys(scopes))


def checked_networks(texts: Sequence[str]) -> tuple[str, ...]:
    """Addresses and networks in their usual spelling, `10.0.0.0/8`; none means everywhere."""
    if len(texts) > MAX_NETWORKS:
        raise InvalidValue(("allowed_ips",), f"at most {MAX_NETWORKS} networks; these are {len(texts)}")
    networks = []
    for index, text in enumerate(texts):
        try:
            networks.append(str(_network(text)))
        except ValueError:
            remedy = "an address or a network, such as 203.0.113.7, 10.0.0.0/8 or 2001:db8::/32"
            raise InvalidValue(("allowed_ips", index), f"{remedy}, with no bits set behind its length") from None
    return tuple(dict.fromkeys(networks))


def _network(text: str) -> IPv4Network | IPv6Network:
    """An IPv4 network written within IPv6 is the IPv4 network, as callers' addresses are read."""
    if "%" in text:
        raise ValueError("an address with a zone is of one machine alone")
    network = ip_network(text)
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    return network if mapped is None or network.prefixlen < MAPPED else ip_network((mapped, network.prefixlen - MAPPED))


def checked_rate(rate: int | None) -> int | None:
    """Requests a minute."""
    if rate is not None and not 1 <= rate <= MAX_RATE:
        raise InvalidValue(("rate_limit",), f"1 to {MAX_RATE} requests a minute, or null for no limit")
    return rate


def checked_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object of the caller's own."""
    if not _is_flat(metadata, MAX_METADATA_DEPTH):
        raise InvalidValue(("metadata",), f"objects and lists within each other up to {MAX_METADATA_DEPTH} deep")
    encoded = msgspec.json.encode(metadata)
    if len(encoded) > MAX_METADATA_BYTES:
        raise InvalidValue(("metadata",), f"at most {MAX_METADATA_BYTES} bytes as JSON; this is {len(encoded)}")
    if b"\\u0000" in encoded:
        raise InvalidValue(("metadata",), "the NUL character cannot be stored")
    without_secret("metadata", encoded.decode())
    return dict(metadata)


def _is_flat(value: object, depth: int) -> bool:
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return depth >= 0 and all(_is_flat(item, depth - 1) for item in items)


class Lifetime(msgspec.Struct, frozen=True):
    """When a token is asked to end: at a time, or in so many seconds, or after one of the usual times."""

    expires_at: datetime | None = None
    expires_in: int | Preset | None = None

    def end(self, now: datetime, longest: timedelta | None) -> datetime | None:
        """When it ends, `None` for never; `longest` is how long tokens may live here."""
        field, end = self._asked(now)
        if end is None:
            if longest is not None:
                raise InvalidValue(
                    (field,), f"tokens end after {longest.days} days at most here; say when this one does"
                )
            return None
        end = end.replace(microsecond=0)  # as `exp` says it, so that both sides see it end at once
        if end <= now:
            raise InvalidValue((field,), "a token ends in the future; leave this out for one that never does")
        if end >= LAST_EXPIRY:
            raise InvalidValue((field,), "a token ends before the year 9999")
        if longest is not None and end > now + longest:
            raise InvalidValue((field,), f"tokens end after {longest.days} days at most here")
        return end.astimezone(UTC)

    def _asked(self, now: datetime) -> tuple[str, datetime | None]:
        if self.expires_in is None:
            return "expires_at", self.expires_at
        if self.expires_at is not None:
            raise InvalidValue(("expires_in",), "give either this or expires_at")
        seconds = self.expires_in if isinstance(self.expires_in, int) else _PRESETS[self.expires_in]
        if seconds is None:
            return "expires_in", None
        if not 1 <= seconds <= 10_000 * 365 * DAY_S:
            raise InvalidValue(("expires_in",), "seconds from now, at least 1")
        try:
            return "expires_in", now + timedelta(seconds=seconds)
        except OverflowError:
            raise InvalidValue(("expires_in",), "a token ends before the year 9999") from None
