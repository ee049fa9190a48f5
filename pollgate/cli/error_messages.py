"""Sentences for the terminal from the client library's errors: they name options and environment variables."""

import os
from collections.abc import Mapping
from typing import Final, NamedTuple

from pollgate.cli.errors import CliError, UsageError
from pollgate.cli.field_options import name_options, option_of
from pollgate.client.errors import (
    ClientError,
    ConnectionFailed,
    FieldError,
    InvalidArgument,
    OutcomeUnknown,
    UnexpectedResponse,
)

_DETAILS: Final = {
    "votes-would-be-dropped": "The change removes options that have votes; --drop-votes removes the votes too.",
    "promises-would-be-broken": "The change would break promises to participants who have voted; to make it "
    "nevertheless, repeat it with --allow and each flag named below.",
    "idempotency-key-reused": "The --key was used for another request; give another one.",
    "rotation-in-use": "The secret of this rotation is in use or was rotated again, so it is not replaced; rotate "
    "with another --key, or without one.",
}
"""By type of problem, where the client's detail names arguments."""

_LISTED_BY: Final = {
    "poll_id": "pollgate poll list",
    "link_id": "pollgate poll links",
    "token_id": "pollgate token list",
    "ids": "pollgate token list",
    "key_id": "pollgate admin list",
    "client_id": "pollgate service list",
}
"""By argument, the command that shows such ids."""


_OF_THE_ENVIRONMENT: Final = ("url", "token", "admin_key")
"""Arguments that no option sets."""


class Target(NamedTuple):
    """The service that a command uses: its name, the variable with its URL, an example, and its credential's name.

    `options` maps JSON pointers into a request's body, and query parameters, to options of the command that differ from
    those of `field_options`. With `has_file`, a file has set the other fields of the body.
    """

    name: str
    variable: str
    example: str
    credential: str
    options: Mapping[str, str] = {}
    has_file: bool = False


def cli_error(error: ClientError, target: Target) -> CliError:
    """Return the error of the command: of its usage, if an argument cannot be sent."""
    is_usage = isinstance(error, InvalidArgument) and error.argument not in _OF_THE_ENVIRONMENT
    return (UsageError if is_usage else CliError)(error_message(error, target))


def error_message(error: ClientError, target: Target, advice: str | None = None) -> str:
    """Return a sentence for the terminal. `advice` is what to do after a change whose outcome is unknown."""
    match error:
        case InvalidArgument():
            return _invalid_argument(error, target)
        case UnexpectedResponse():
            return _unexpected_response(error, target)
        case OutcomeUnknown():
            return _outcome_unknown(error, target, advice)
        case ConnectionFailed():
            return _no_response(error, target)
    return _error_response(error, target)


def _invalid_argument(error: InvalidArgument, target: Target) -> str:
    argument = error.argument.partition("[")[0]
    if argument == "url":
        return f"{target.variable} is not the URL of a service, such as {target.example}"
    if argument in ("token", "admin_key"):
        return f"this is not an {target.credential}: {error.detail}"
    if argument in _LISTED_BY:
        return f"{error.detail}; `{_LISTED_BY[argument]}` shows the ids"
    if argument in ("fields", "poll", "arguments"):
        return error.detail
    return f"{option_of(argument, target.options)}: {error.detail}"


def _unexpected_response(error: UnexpectedResponse, target: Target) -> str:
    if error.status is not None and 300 <= error.status < 400:
        return (
            f"{error.url} redirects ({error.status}), which is not followed, so nothing was done. "
            f"Set {target.variable} to the URL of the {target.name} itself"
        )
    return (
        f"the server at {error.url} ({_source(target)}) is not a {target.name} of this release; check {target.variable}"
    )


def _outcome_unknown(error: OutcomeUnknown, target: Target, advice: str | None) -> str:
    message = (_no_response(error, target) if error.status is None else _error_response(error, target)).rstrip(".")
    if not error.consequence:
        return message
    usual = "repeat the command to be sure" if error.is_repeatable else "check before you repeat the command"
    return f"{message}. {error.consequence[0].upper()}{error.consequence[1:]}; {advice or usual}"


def _no_response(error: ConnectionFailed | OutcomeUnknown, target: Target) -> str:
    if error.detail not in ("no connection", "no response"):
        return f"the {target.name} at {error.url}: {error.detail}"
    advice = f"start it, or set {target.variable}" if "refused" in error.explanation else f"check {target.variable}"
    return f"the {target.name} at {error.url} ({_source(target)}) does not answer: {error.explanation}; {advice}"


def _source(target: Target) -> str:
    """Return where the URL came from."""
    return f"from {target.variable}" if os.environ.get(target.variable) else "the default"


def _error_response(error: ClientError, target: Target) -> str:
    details = _details(error, target)
    if error.status == 404 and error.type in ("", "not-found"):
        details += f"; check {target.variable}"
        if error.url.partition("://")[2].partition("/")[2]:
            details += f", which is the root of the {target.name}, without a path, such as {target.example}"
    answered = f"the {target.name} answered {error.status}"
    if not error.type and error.status != 404:
        return (
            f"the server at {error.url} ({_source(target)}) answered {error.status}, but not as a {target.name} does; "
            f"perhaps a proxy did. Check that the {target.name} runs, and check {target.variable}"
        )
    return f"{answered}: {details}" if details else answered


def _details(error: ClientError, target: Target) -> str:
    if error.type in _DETAILS:
        return "\n  ".join((_DETAILS[error.type], *(_field_error(each, target) for each in error.errors)))
    errors = [_field_error(each, target) for each in error.errors]
    is_repeated = bool(errors) and all(each.detail in error.detail for each in error.errors)
    return "\n  ".join(errors if is_repeated else filter(None, (_detail(error.detail, target), *errors)))


def _field_error(error: FieldError, target: Target) -> str:
    return ": ".join(filter(None, (_location(error, target), _detail(error.detail, target))))


def _location(error: FieldError, target: Target) -> str:
    """Return the option that sets the value; for one that a file may have set, the pointer."""
    location = error.pointer or error.parameter
    if target.has_file and error.pointer:
        return next((option for pointer, option in target.options.items() if _is_within(location, pointer)), location)
    return option_of(location, target.options)


def _is_within(location: str, pointer: str) -> bool:
    return location == pointer or location.startswith(f"{pointer}/")


def _detail(detail: str, target: Target) -> str:
    return detail if target.has_file else name_options(detail)
