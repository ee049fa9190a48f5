"""The rules for the fields of a token. Every function raises `InvalidValue`."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from services.token_authority.domain.errors import InvalidValue
from shared.contract.duration import EXAMPLES, parse_duration
from shared.contract.scope import Scope, ScopeError
from shared.contract.token import SECRET_PATTERN
from shared.runtime.text.characters import InvalidText, fit_line, fit_lines
from shared.runtime.text.times import Day, InvalidTime, read_time

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

NEVER: Final = "never"


def require_no_secret(field: str, text: str) -> None:
    """Refuse a text that contains a secret of ours, because the text will be stored and shown."""
    if SECRET_PATTERN.search(text):
        raise InvalidValue((field,), "must not contain a secret; remove it, and revoke or rotate that secret")


def validate_text(field: str, text: str, limit: int = MAX_NAME_LENGTH) -> str:
    """Return a text of one line as it is stored."""
    return _validate(field, text, partial(fit_line, limit=limit))


def validate_description(text: str) -> str:
    """Return a text of any number of lines as it is stored."""
    return _validate("description", text, partial(fit_lines, limit=MAX_DESCRIPTION_LENGTH))


def _validate(field: str, text: str, fit: Callable[[str], str]) -> str:
    try:
        fitting = fit(text)
    except InvalidText as error:
        raise InvalidValue((field,), f"this {error}") from None
    require_no_secret(field, fitting)
    return fitting


def read_time_field(field: str, text: str | None, *, day: Day) -> datetime | None:
    """Return the time in a field in UTC; `None` stays `None`. A day alone is its first or last moment."""
    try:
        return None if text is None else read_time(text, day=day)
    except InvalidTime as error:
        raise InvalidValue((field,), str(error)) from None


def validate_scopes(texts: Sequence[str]) -> tuple[Scope, ...]:
    """Return each scope once."""
    if not 1 <= len(texts) <= MAX_SCOPES:
        raise InvalidValue(("scopes",), f"must have 1 to {MAX_SCOPES} scopes; this has {len(texts)}")
    if sum(map(len, texts)) > MAX_SCOPES_LENGTH:
        raise InvalidValue(
            ("scopes",), f"must have at most {MAX_SCOPES_LENGTH} characters in total; use fewer or wider selectors"
        )
    scopes = []
    for index, text in enumerate(texts):
        require_no_secret("scopes", unquote(text))
        try:
            scopes.append(Scope.parse(text))
        except ScopeError as error:
            raise InvalidValue(("scopes", index), str(error)) from None
    return tuple(dict.fromkeys(scopes))


def validate_networks(texts: Sequence[str]) -> tuple[str, ...]:
    """Return addresses and networks in canonical form, such as `10.0.0.0/8`. Empty means any address."""
    if len(texts) > MAX_NETWORKS:
        raise InvalidValue(("allowed_ips",), f"must have at most {MAX_NETWORKS} networks; this has {len(texts)}")
    networks = []
    for index, text in enumerate(texts):
        try:
            networks.append(str(_network(text)))
        except ValueError:
            rule = "must be an address or a network, such as 203.0.113.7, 10.0.0.0/8 or 2001:db8::/32"
            raise InvalidValue(("allowed_ips", index), f"{rule}, with no host bits set") from None
    return tuple(dict.fromkeys(networks))


def _network(text: str) -> IPv4Network | IPv6Network:
    """Parse a network. An IPv4-mapped IPv6 network becomes the IPv4 network, as callers' addresses do."""
    if "%" in text:
        raise ValueError("an address with a zone is valid on one machine only")
    network = ip_network(text)
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    return network if mapped is None or network.prefixlen < MAPPED else ip_network((mapped, network.prefixlen - MAPPED))


def validate_rate_limit(rate: int | None) -> int | None:
    """Return a rate in requests per minute."""
    if rate is not None and not 1 <= rate <= MAX_RATE:
        raise InvalidValue(("rate_limit",), f"must be 1 to {MAX_RATE} requests per minute, or null for no limit")
    return rate


def validate_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON object that the caller defines."""
    if not _is_nested_within(metadata, MAX_METADATA_DEPTH):
        raise InvalidValue(("metadata",), f"must not be nested more than {MAX_METADATA_DEPTH} levels deep")
    encoded = msgspec.json.encode(metadata)
    if len(encoded) > MAX_METADATA_BYTES:
        raise InvalidValue(
            ("metadata",), f"must have at most {MAX_METADATA_BYTES} bytes as JSON; this has {len(encoded)}"
        )
    if b"\\u0000" in encoded:
        raise InvalidValue(("metadata",), "must not contain the NUL character")
    require_no_secret("metadata", encoded.decode())
    return dict(metadata)


def _is_nested_within(value: object, depth: int) -> bool:
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return depth >= 0 and all(_is_nested_within(item, depth - 1) for item in items)


class Lifetime(msgspec.Struct, frozen=True):
    """The requested expiry of a token: a time, a number of seconds, a duration such as `90d`, or `never`."""

    expires_at: datetime | None = None
    expires_in: int | str | None = None

    def compute_expiry(self, now: datetime, max_lifetime: timedelta | None) -> datetime | None:
        """Return when the token expires, `None` for never. `max_lifetime` is the limit of this authority, if any."""
        field, end = self._read_end(now)
        if end is None:
            if max_lifetime is not None:
                raise InvalidValue((field,), f"is required: tokens must expire within {max_lifetime.days} days here")
            return None
        end = end.replace(microsecond=0)  # the precision of `exp`, so that guards and the authority agree
        if end <= now:
            raise InvalidValue((field,), f"must be in the future; this is {end.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC")
        if end >= LAST_EXPIRY:
            raise InvalidValue((field,), "must be before the year 9999")
        if max_lifetime is not None and end > now + max_lifetime:
            raise InvalidValue((field,), f"must be within {max_lifetime.days} days")
        return end.astimezone(UTC)

    def _read_end(self, now: datetime) -> tuple[str, datetime | None]:
        if self.expires_in is None:
            return "expires_at", self.expires_at
        if self.expires_at is not None:
            raise InvalidValue(("expires_in",), "must not be given together with expires_at")
        if self.expires_in == NEVER:
            return "expires_in", None
        try:
            return "expires_in", now + _read_duration(self.expires_in)
        except OverflowError:
            raise InvalidValue(("expires_in",), "must be before the year 9999") from None


def _read_duration(value: int | str) -> timedelta:
    if isinstance(value, str):
        try:
            duration = parse_duration(value)
        except ValueError:
            rule = f"must be a duration such as {EXAMPLES}, a whole number of seconds, or {NEVER}"
            raise InvalidValue(("expires_in",), rule) from None
    else:
        duration = timedelta(seconds=max(0, min(value, 10_000 * 365 * DAY_S)))
    if duration < timedelta(seconds=1):
        raise InvalidValue(("expires_in",), "must be 1 or more seconds")
    return duration
