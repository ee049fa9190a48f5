"""The options that `token create` and `token change` share: a token's description, limits and metadata."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final

from cyclopts import Parameter

from pollgate.cli.errors import UsageError
from pollgate.cli.field_options import repeated_option
from pollgate.cli.json_file import read_json_object
from pollgate.cli.options import Repeatable
from pollgate.cli.times import DurationOrNever, EndTime
from shared.contract.scope import ALL_ACTIONS, Scope, ScopeError

EVERYTHING: Final = "polls:*:*"


@dataclass(frozen=True)
class TokenFields:
    """The values of these options; `None` if one is not given."""

    description: Annotated[str | None, Parameter(help="Further text.")] = None
    owner: Annotated[
        str | None, Parameter(help="Person, team or job that is responsible for it; an empty text for none.")
    ] = None
    expires_in: Annotated[DurationOrNever | None, Parameter(help="Lifetime, such as 30d, 12h or 1h30m, or never.")] = (
        None
    )
    expires_at: Annotated[
        EndTime | None,
        Parameter(help="Expiry, in UTC unless it has a zone: 2027-01-31 (its last moment) or 2027-01-31T12:00+09:00."),
    ] = None
    header_only: Annotated[
        bool, Parameter(negative="", help="Refuse the token in a URL, which logs and histories store.")
    ] = False
    allowed_ip: Annotated[
        Repeatable | None,
        Parameter(
            metavar="ADDRESS",
            help="Address or network, such as 10.0.0.0/8, from which the token is accepted. Repeatable.",
        ),
    ] = None
    rate_limit: Annotated[int | None, Parameter(metavar="N", help="Maximum number of requests per minute.")] = None
    metadata: Annotated[
        Repeatable | None,
        Parameter(metavar="KEY=VALUE", help="Data of your own, which services receive. Repeatable."),
    ] = None
    metadata_json: Annotated[
        str | None,
        Parameter(
            metavar="FILE",
            allow_leading_hyphen=True,
            help="File with a JSON object instead, or - for standard input.",
        ),
    ] = None
    self_rotation: Annotated[
        bool | None,
        Parameter(help="Let the holder rotate the token, with `pollgate token rotate --self`; not by default."),
    ] = None

    def to_body(self) -> dict[str, Any]:
        """Return the fields that are given, for the API. Raise `UsageError`."""
        if self.expires_in is not None and self.expires_at is not None:
            raise UsageError("give either --expires-in or --expires-at")
        body: dict[str, Any] = {
            "description": self.description,
            "expires_in": seconds_of(self.expires_in),
            "expires_at": self.expires_at,
            "allow_query": False if self.header_only else None,
            "allowed_ips": self.allowed_ip,
            "rate_limit": self.rate_limit,
            "metadata": self._metadata(),
            "self_rotation": self.self_rotation,
        }
        given = {name: value for name, value in body.items() if value is not None}
        return given if self.owner is None else given | {"owner": self.owner or None}

    def options(self, scopes: Sequence[str] | None) -> dict[str, str]:
        """Return how to name the options that are given, and `--scope`, by the JSON pointers that they set."""
        metadata = {} if self.metadata_json is None else {"/metadata": "--metadata-json"}
        return {
            **repeated_option("/scopes", "--scope", scopes or ()),
            **repeated_option("/allowed_ips", "--allowed-ip", self.allowed_ip or ()),
            **metadata,
        }

    def _metadata(self) -> dict[str, Any] | None:
        if self.metadata_json is not None:
            if self.metadata:
                raise UsageError("give either --metadata or --metadata-json")
            return read_json_object(self.metadata_json, "the metadata", '{"team": "payments"}')
        return None if self.metadata is None else dict(_pair(text) for text in self.metadata)


NO_FIELDS: Final = TokenFields()


def parse_scopes(texts: list[str]) -> list[str]:
    """Return the scopes for the API, where `ANY` is `polls:*:*`."""
    return [EVERYTHING if text == "ANY" else text for text in texts]


def displayed_scope(text: str) -> str:
    """Return a scope as it is typed: `ANY` for `polls:*:*`."""
    return "ANY" if text == EVERYTHING else text


def is_unrestricted(text: str) -> bool:
    """Return whether a scope allows every action everywhere."""
    try:
        scope = Scope.parse(text)
    except ScopeError:
        return False
    return not scope.path and scope.actions == ALL_ACTIONS


def seconds_of(duration: timedelta | str | None) -> int | str | None:
    """Return a duration for the API; `never` as it is."""
    return int(duration.total_seconds()) if isinstance(duration, timedelta) else duration


def duration_text(duration: timedelta | str) -> str:
    """Return a duration as an option's value."""
    return f"{int(duration.total_seconds())}s" if isinstance(duration, timedelta) else duration


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"--metadata takes KEY=VALUE, such as team=payments, not '{text}'")
    return key, value
