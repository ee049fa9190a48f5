"""Arguments of the client's methods: check them before a request, and name them where the API reports an error."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from pollgate.client.errors import InvalidArgument
from shared.contract.token import SECRET_PATTERN

_ENTITY_TAG: Final = r'(?:W/)?"[!\x23-\x7e\x80-\xff]*"'
_IF_MATCH: Final = re.compile(rf"\*|{_ENTITY_TAG}(?:[ \t]*,[ \t]*{_ENTITY_TAG})*")
_HEADER: Final = re.compile(r"[\x21-\x7e]+")
_CAPITAL: Final = re.compile(r"(?<=[a-z])([A-Z])")
_MAX_KEY: Final = 255


def text_list(argument: str, value: Sequence[str]) -> list[str]:
    """Return the texts as a list. Raise `TypeError` for one `str`, which would be read as a list of its characters."""
    if isinstance(value, str | bytes):
        raise TypeError(f"{argument} must be a list of str, not {type(value).__name__}: write [{argument[:-1]}]")
    texts = list(value)
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"{argument} must be a list of str, and contains {type(text).__name__}")
    return texts


def optional_text_list(argument: str, value: Sequence[str] | None) -> list[str] | None:
    """Return the texts as a list, `None` for `None`. Raise `TypeError` for one `str`."""
    return None if value is None else text_list(argument, value)


def require_identifier(argument: str, value: str) -> None:
    """Raise `InvalidArgument` for an id that cannot be a segment of a path, or is a secret."""
    if SECRET_PATTERN.search(value):
        raise InvalidArgument(argument, "this is a secret, not an id")
    if value in ("", ".", ".."):
        raise InvalidArgument(argument, "this is not an id")
    require_utf8(argument, value)


def require_participant(value: str, argument: str = "participant") -> None:
    """Raise `InvalidArgument` for an empty participant id, or a secret in its place."""
    if SECRET_PATTERN.search(value):
        raise InvalidArgument(argument, "this is a secret, not a participant's id")
    if not value:
        raise InvalidArgument(argument, "this may not be empty")
    require_utf8(argument, value)


def require_etag(value: str | None) -> None:
    """Raise `InvalidArgument` unless `if_match` is `None`, `*`, or entity tags in quotes (RFC 9110 §13.1.1)."""
    if value is not None and not _IF_MATCH.fullmatch(value):
        raise InvalidArgument("if_match", "this is not an ETag in quotes, such as the etag of a poll: '\"1\"'")


def require_idempotency_key(value: str) -> None:
    """Raise `InvalidArgument` for a key that cannot be sent as a header."""
    if not _HEADER.fullmatch(value) or len(value) > _MAX_KEY:
        raise InvalidArgument("idempotency_key", "1 to 255 printable ASCII characters without spaces are allowed")


def require_credential(argument: str, value: str) -> None:
    """Raise `InvalidArgument` for a token or admin key that cannot be sent as a header."""
    if not _HEADER.fullmatch(value):
        raise InvalidArgument(argument, "printable ASCII characters without spaces are required")


def require_utf8(argument: str, value: str) -> None:
    """Raise `InvalidArgument` for text with lone surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(argument, "this is not text that UTF-8 can encode") from None


def require_aware_times(values: Mapping[str, Any]) -> None:
    """Raise `InvalidArgument` for a time without a time zone, by its name in the API: services would read it as UTC."""
    for name, value in values.items():
        if isinstance(value, datetime) and value.utcoffset() is None:
            raise InvalidArgument(_snake_case(name), "this is a naive datetime; add a time zone, such as UTC")


def require_limit(value: int | None) -> None:
    """Raise `InvalidArgument` for a negative number of items."""
    if value is not None and value < 0:
        raise InvalidArgument("limit", "this may not be negative")


def argument_path(location: str, arguments: Mapping[str, tuple[str, Any]]) -> str:
    """Return the argument for a JSON pointer or a query parameter, in Python's notation: `option_ids[0]`.

    `arguments` maps a prefix of the pointer, or a parameter, to an argument's name and value. Where nothing matches,
    the argument has the API's name in snake case.
    """
    for prefix in sorted(arguments, key=len, reverse=True):
        if location == prefix or (location.startswith(f"{prefix}/") and location.startswith("/")):
            name, value = arguments[prefix]
            return name + "".join(_steps(location[len(prefix) :], value))
    first, _, rest = location.removeprefix("/").partition("/")
    return _snake_case(first) + "".join(_steps(f"/{rest}" if rest else "", None))


def _steps(pointer: str, value: Any) -> list[str]:
    steps = []
    for token in (each.replace("~1", "/").replace("~0", "~") for each in pointer.split("/")[1:]):
        if token.isdecimal():
            steps.append(f"[{token}]")
            value = value[int(token)] if isinstance(value, Sequence) and int(token) < len(value) else None
        elif isinstance(value, Mapping):
            steps.append(f"[{token!r}]")
            value = value.get(token)
        else:
            attribute = _attribute(value, token) or _snake_case(token)
            steps.append(f".{attribute}")
            value = getattr(value, attribute, None)
    return steps


def _attribute(value: Any, encoded_name: str) -> str | None:
    fields = msgspec.structs.fields(value) if isinstance(value, msgspec.Struct) else ()
    return next((field.name for field in fields if field.encode_name == encoded_name), None)


def _snake_case(name: str) -> str:
    return _CAPITAL.sub(r"_\1", name).lower()
