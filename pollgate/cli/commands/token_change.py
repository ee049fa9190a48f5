"""`pollgate token change`, `disable`, `enable` and `rotate`: what may become of a token in use."""

import secrets
import shlex
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Any

from cyclopts import Parameter

from pollgate.cli.effect import patiently, require_effective, told_effect
from pollgate.cli.error_messages import error_message
from pollgate.cli.errors import CliError
from pollgate.cli.output import print_json
from pollgate.cli.session import AUTHORITY, Json, Many, Wait, call, management
from pollgate.cli.times import Duration, told_exactly
from pollgate.cli.token_fields import FIELD_OPTIONS, NO_FIELDS, TokenFields, scope_options, written_scopes
from pollgate.client import AuthorityClient, ChangedToken, OutcomeUnknown, RotatedToken

app = management("token", "Change, disable, enable and rotate access tokens.")


@app.command(help_epilogue="Example:\n\n  pollgate token change tok_3JDxtsz4ic3g56zQ --scope polls:read:PLAT")
def change(
    token_id: str,
    /,
    *,
    name: str | None = None,
    scope: Many | None = None,
    fields: Annotated[TokenFields, Parameter(name="*")] = NO_FIELDS,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Give some fields of a token other values; those that are left out stay.

    What is said of it changes freely. What it may do can only become less; for
    more, make a new token. Returns when it is in force everywhere; status 1
    where that is not so in the end.

    Parameters
    ----------
    token_id
        Its id, tok_…, as `pollgate token list` shows it.
    name
        What it is for, 1 to 255 characters.
    scope
        What it may do and where from now on, in the place of all its scopes. Repeatable.
    """
    body = fields.to_body()
    if name is not None:
        body["name"] = name
    if scope is not None:
        body["scopes"] = written_scopes(scope)
    if not body:
        raise CliError("say what to change; `pollgate token change --help` lists it")
    options = {**FIELD_OPTIONS, **scope_options(scope or ())}
    _tell(
        "Changed",
        lambda authority: authority.change_token(token_id, body, wait=wait),
        wait=wait,
        as_json=as_json,
        options=options,
    )


@app.command(help_epilogue="Example:\n\n  pollgate token disable tok_3JDxtsz4ic3g56zQ --reason 'under investigation'")
def disable(token_id: str, /, *, reason: str | None = None, wait: Wait = True, as_json: Json = False) -> None:
    """Have a token refused everywhere until it is enabled again.

    Returns when it is in force everywhere; status 1 where that is not so in
    the end.

    Parameters
    ----------
    token_id
        Its id, tok_…, as `pollgate token list` shows it.
    reason
        Why, in words.
    """
    _tell(
        "Disabled",
        lambda authority: authority.disable_token(token_id, reason, wait=wait),
        wait=wait,
        as_json=as_json,
        options={"/reason": "--reason"},
    )


@app.command(help_epilogue="Example:\n\n  pollgate token enable tok_3JDxtsz4ic3g56zQ")
def enable(token_id: str, /, *, wait: Wait = True, as_json: Json = False) -> None:
    """Have a disabled token work again.

    Returns when it is in force everywhere; status 1 where that is not so in
    the end.

    Parameters
    ----------
    token_id
        Its id, tok_…, as `pollgate token list` shows it.
    """
    _tell("Enabled", lambda authority: authority.enable_token(token_id, wait=wait), wait=wait, as_json=as_json)


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
    """Make a new secret for a token and show it, this once. The token keeps its id and all else.

    Where the answer is lost, it is asked for once more; where that fails too,
    the command is printed that asks for it later. Status 1 also where it is
    not in force everywhere in the end, with the new secret shown.

    Parameters
    ----------
    token_id
        Its id, tok_…, as `pollgate token list` shows it.
    overlap
        For how long the secrets before it go on working; 1h where this is left out, and 0 ends them at once.
    end_on_use
        End them earlier, when the new secret is used first.
    key
        An Idempotency-Key, to repeat a rotation whose answer was lost; a random one where this is left out.
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
            again = _repetition(token_id, overlap, given_key, end_on_use=end_on_use)
            raise CliError(
                error_message(error, AUTHORITY, f"this command returns its new secret:\n  {again}")
            ) from None

    token = call(lambda authority: patiently(rotate_twice(authority)), {"/overlap_s": "--overlap"})
    print_json(token) if as_json else _show_rotated(token, at_once=overlap == timedelta())
    if wait:
        require_effective(token.effect, "the new secret works, and the end of those before it is known by then")


def _tell(
    did: str,
    make: Callable[[AuthorityClient], Awaitable[ChangedToken]],
    *,
    wait: bool,
    as_json: bool,
    options: Mapping[str, str] = {},
) -> None:
    token = call(lambda authority: patiently(make(authority)) if wait else make(authority), options)
    print_json(token) if as_json else print(f"{did} {token.id}{told_effect(token.effect)}")
    if wait:
        require_effective(token.effect)


def _show_rotated(token: RotatedToken, *, at_once: bool) -> None:
    print(f"{token.token}\n\nStore this secret of {token.id} now: it is not shown again.")
    end = "have ended" if at_once else f"end at {told_exactly(token.old_secrets_end_at)} at the latest"
    print(f"The secrets before it {end}{told_effect(token.effect)}")


def _repetition(token_id: str, overlap: timedelta | None, key: str, *, end_on_use: bool) -> str:
    words: list[Any] = ["pollgate", "token", "rotate", token_id]
    if overlap is not None:
        words += ["--overlap", f"{int(overlap.total_seconds())}s"]
    words += ["--end-on-use"] if end_on_use else []
    return shlex.join([*words, "--key", key])
