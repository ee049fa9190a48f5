"""The options that say what a token is and may do, as `token create` and `token change` both have them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final

from cyclopts import Parameter

from pollgate.cli.error_messages import quoted_option
from pollgate.cli.errors import CliError
from pollgate.cli.json_file import read_json_object
from pollgate.cli.session import Many
from pollgate.cli.times import DurationOrNever, Time
from shared.contract.scope import ALL_ACTIONS, Scope, ScopeError

EVERYTHING: Final = "polls:*:*"


@dataclass(frozen=True)
class TokenFields:
    """What is given of them."""

    description: Annotated[str | None, Parameter(help="What else there is to say.")] = None
    owner: Annotated[
        str | None, Parameter(help="Who answers for it: a person, a team or a job. An empty text names nobody.")
    ] = None
    expires_in: Annotated[
        DurationOrNever | None, Parameter(help="How long it works: 30d, 12h, 1h30m and the like, or never.")
    ] = None
    expires_at: Annotated[
        Time | None, Parameter(help="When it ends, as in 2027-01-31 or 2027-01-31T12:00 (local time).")
    ] = None
    header_only: Annotated[
        bool, Parameter(negative="", help="Refuse it in the query, where logs and histories keep it.")
    ] = False
    allowed_ip: Annotated[
        Many | None,
        Parameter(
            metavar="ADDRESS", help="An address or a network, as 10.0.0.0/8, from where alone it works. Repeatable."
        ),
    ] = None
    rate_limit: Annotated[int | None, Parameter(metavar="N", help="Refuse more than N requests a minute.")] = None
    metadata: Annotated[
        Many | None,
        Parameter(metavar="KEY=VALUE", help="Something of your own, which services are told. Repeatable."),
    ] = None
    metadata_json: Annotated[
        str | None,
        Parameter(
            metavar="FILE",
            allow_leading_hyphen=True,
            help="A file with a JSON object in its place, or - for standard input.",
        ),
    ] = None

    def to_body(self) -> dict[str, Any]:
        """The fields that are given, as the API has them. Raises `CliError`."""
        if self.expires_in is not None and self.expires_at is not None:
            raise CliError("give either --expires-in or --expires-at")
        body: dict[str, Any] = {
            "description": self.description,
            "expires_in": _seconds(self.expires_in),
            "expires_at": self.expires_at,
            "allow_query": False if self.header_only else None,
            "allowed_ips": self.allowed_ip,
            "rate_limit": self.rate_limit,
            "metadata": self._metadata(),
        }
        given = {name: value for name, value in body.items() if value is not None}
        return given if self.owner is None else given | {"owner": self.owner or None}

    def _metadata(self) -> dict[str, Any] | None:
        if self.metadata_json is not None:
            if self.metadata:
                raise CliError("give either --metadata or --metadata-json")
            return read_json_object(self.metadata_json, "the metadata", '{"team": "payments"}')
        return None if self.metadata is None else dict(_pair(text) for text in self.metadata)


NO_FIELDS: Final = TokenFields()

FIELD_OPTIONS: Final = {
    **{f"/{name}": f"--{name}" for name in ("name", "description", "owner", "site", "metadata")},
    **{f"/{name}": f"--{name.replace('_', '-')}" for name in ("expires_in", "expires_at", "rate_limit")},
    "/allow_query": "--header-only",
    "/allowed_ips": "--allowed-ip",
}
"""The options that set fields of a token, by their JSON pointers."""


def written_scopes(texts: list[str]) -> list[str]:
    """The scopes as the API has them: `ANY` is everything everywhere."""
    return [EVERYTHING if text == "ANY" else text for text in texts]


def scope_options(texts: Sequence[str]) -> dict[str, str]:
    """Return the options that set scopes, by their JSON pointers."""
    each = {f"/scopes/{number}": quoted_option("--scope", text) for number, text in enumerate(texts)}
    return {"/scopes": "--scope", **each}


def reaches_everything(text: str) -> bool:
    """Whether a scope is of every action everywhere."""
    try:
        scope = Scope.parse(text)
    except ScopeError:
        return False
    return not scope.path and scope.actions == ALL_ACTIONS


def _seconds(duration: timedelta | str | None) -> int | str | None:
    return int(duration.total_seconds()) if isinstance(duration, timedelta) else duration


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise CliError(f"--metadata takes KEY=VALUE, as in team=payments, not '{text}'")
    return key, value
