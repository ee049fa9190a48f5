"""`pollgate token change`, `disable`, `enable` and `rotate`."""

import secrets
import shlex
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Any

from cyclopts import Parameter

from pollgate.cli.authority_session import AUTHORITY, authority_group, run_with_authority
from pollgate.cli.effect import describe_effect, require_effective, wait_with_notice
from pollgate.cli.error_messages import error_message
from pollgate.cli.errors import CliError, UsageError
from pollgate.cli.options import Json, Repeatable, Wait
from pollgate.cli.output import print_json
from pollgate.cli.times import Duration, format_exact_time
from pollgate.cli.token_fields import NO_FIELDS, TokenFields, parse_scopes
from pollgate.client import AuthorityClient, ChangedToken, OutcomeUnknown, RotatedToken

app = authority_group("token", "Change, disable, enable and rotate access tokens.")


@app.command(help_epilogue="Example:\n\n  pollgate token change tok_3JDxtsz4ic3g56zQ --scope polls:read:PLAT")
def change(
    token_id: str,
    /,
    *,
    name: str | None = None,
    scope: Repeatable | None = None,
    fields: Annotated[TokenFields, Parameter(name="*")] = NO_FIELDS,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Change some fields of a token. Fields that are not given stay the same.

    A token's permissions can only be reduced; for more, create a new token.
    Returns when the change is effective everywhere. Exit status 1 if it is not
    effective in time.

    Parameters
    ----------
    token_id
        Id of the token (tok_…); see `pollgate token list`.
    name
        Purpose of the token, 1 to 255 characters.
    scope
        Actions and place, instead of all earlier scopes. Repeatable.
    """
    body = fields.to_body()
    if name is not None:
        body["name"] = name
    if scope is not None:
        body["scopes"] = parse_scopes(scope)
    if not body:
        raise UsageError("nothing to change; see `pollgate token change --help`")
    _print_change(
        "Changed",
        lambda authority: authority.change_token(token_id, body, wait=wait),
        wait=wait,
        as_json=as_json,
        options=fields.options(scope),
        shows_end=fields.expires_at is not None or fields.expires_in is not None,
    )


@app.command(help_epilogue="Example:\n\n  pollgate token disable tok_3JDxtsz4ic3g56zQ --reason 'under investigation'")
def disable(token_id: str, /, *, reason: str | None = None, wait: Wait = True, as_json: Json = False) -> None:
    """Disable a token everywhere until it is enabled again.

    Returns when the change is effective everywhere. Exit status 1 if it is not
    effective in time.

    Parameters
    ----------
    token_id
        Id of the token (tok_…); see `pollgate token list`.
    reason
        Reason, as text.
    """
    _print_change(
        "Disabled",
        lambda authority: authority.disable_token(token_id, reason, wait=wait),
        wait=wait,
        as_json=as_json,
    )


@app.command(help_epilogue="Example:\n\n  pollgate token enable tok_3JDxtsz4ic3g56zQ")
def enable(token_id: str, /, *, wait: Wait = True, as_json: Json = False) -> None:
    """Enable a disabled token.

    Returns when the change is effective everywhere. Exit status 1 if it is not
    effective in time.

    Parameters
    ----------
    token_id
        Id of the token (tok_…); see `pollgate token list`.
    """
    _print_change("Enabled", lambda authority: authority.enable_token(token_id, wait=wait), wait=wait, as_json=as_json)


@app.command(
    help_epilogue="Examples:\n\n"
    "  pollgate token rotate tok_3JDxtsz4ic3g56zQ --overlap 12h --end-on-use\n"
    "  pollgate token rotate tok_3JDxtsz4ic3g56zQ --overlap 0"
)
def rotate(
    token_id: str,
    /,
    *,
    overlap: Duration | None = None,
    end_on_use: Annotated[bool, Parameter(negative="")] = False,
    key: str | None = None,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Create a new secret for a token and print it. It is not shown again. The token keeps its id and all its fields.

    After a lost response the request is repeated once. If that fails too, a
    command that returns the new secret is printed. Exit status 1 also if the
    rotation is not effective everywhere in time, with the new secret printed.

    Parameters
    ----------
    token_id
        Id of the token (tok_…); see `pollgate token list`.
    overlap
        How long earlier secrets continue to work; 1h by default, 0 ends them at once.
    end_on_use
        End earlier secrets as soon as the new one is used.
    key
        Idempotency-Key, to repeat a rotation whose response was lost; random by default.
    """
    overlap_s = None if overlap is None else int(overlap.total_seconds())
    given_key = secrets.token_hex(16) if key is None else key

    async def rotate_once(authority: AuthorityClient) -> RotatedToken:
        return await authority.rotate_token(
            token_id, idempotency_key=given_key, overlap_s=overlap_s, end_on_use=end_on_use, wait=wait
        )

    async def rotate_twice(authority: AuthorityClient) -> RotatedToken:
        with suppress(OutcomeUnknown):
            return await rotate_once(authority)
        try:
            return await rotate_once(authority)
        except OutcomeUnknown as error:
            again = _command_to_repeat(token_id, overlap, given_key, end_on_use=end_on_use)
            raise CliError(
                error_message(error, AUTHORITY, f"this command returns its new secret:\n  {again}")
            ) from None

    token = run_with_authority(lambda authority: wait_with_notice(rotate_twice(authority)))
    print_json(token) if as_json else _print_rotated(token, at_once=overlap == timedelta())
    if wait:
        require_effective(token.effect, "the new secret works")


def _print_change(
    verb: str,
    change: Callable[[AuthorityClient], Awaitable[ChangedToken]],
    *,
    wait: bool,
    as_json: bool,
    options: Mapping[str, str] = {},
    shows_end: bool = False,
) -> None:
    token = run_with_authority(
        lambda authority: wait_with_notice(change(authority)) if wait else change(authority), options
    )
    if as_json:
        print_json(token)
    else:
        end = f"; it expires {format_exact_time(token.expires_at)}" if shows_end and token.expires_at else ""
        print(f"{verb} {token.id}{end}{describe_effect(token.effect)}")
    if wait:
        require_effective(token.effect)


def _print_rotated(token: RotatedToken, *, at_once: bool) -> None:
    print(f"{token.token}\n\nStore this secret of {token.id} now: it is not shown again.")
    end = "have ended" if at_once else f"end at {format_exact_time(token.old_secrets_end_at)} at the latest"
    if token.expires_at is not None:
        print(f"The token expires {format_exact_time(token.expires_at)}.")
    print(f"Earlier secrets {end}{describe_effect(token.effect)}")


def _command_to_repeat(token_id: str, overlap: timedelta | None, key: str, *, end_on_use: bool) -> str:
    words: list[Any] = ["pollgate", "token", "rotate", token_id]
    if overlap is not None:
        words += ["--overlap", f"{int(overlap.total_seconds())}s"]
    words += ["--end-on-use"] if end_on_use else []
    return shlex.join([*words, "--key", key])
