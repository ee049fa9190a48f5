"""`pollgate token change`, `disable`, `enable` and `rotate`."""

import shlex
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, NamedTuple, TypeVar

from cyclopts import Parameter

from pollgate.cli.authority_session import authority_group, run_with_authority
from pollgate.cli.effect import describe_effect, require_effective, wait_with_notice
from pollgate.cli.errors import UsageError
from pollgate.cli.holder_session import run_as_holder
from pollgate.cli.options import Json, Repeatable, Wait
from pollgate.cli.output import print_json
from pollgate.cli.repetition import Key, new_key, repeat_once
from pollgate.cli.secrets_table import describe_old_secrets
from pollgate.cli.times import Duration, DurationOrNever, EndTime, format_exact_time
from pollgate.cli.token_fields import NO_FIELDS, TokenFields, duration_text, parse_scopes, seconds_of
from pollgate.client import AuthorityClient, ChangedToken, RotatedHeldToken, RotatedToken

T = TypeVar("T")

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
    "  pollgate token rotate tok_3JDxtsz4ic3g56zQ --overlap 0\n"
    "  pollgate token rotate tok_3JDxtsz4ic3g56zQ --expires-in 90d\n"
    "  pollgate token rotate --self"
)
def rotate(
    token_id: str | None = None,
    /,
    *,
    self_: Annotated[bool, Parameter(name="--self", negative="")] = False,
    overlap: Duration | None = None,
    end_on_use: Annotated[bool, Parameter(negative="")] = False,
    expires_in: Annotated[DurationOrNever | None, Parameter(help="New lifetime, such as 90d, or never.")] = None,
    expires_at: Annotated[
        EndTime | None, Parameter(help="New expiry, such as 2027-01-31 (its last moment), in UTC.")
    ] = None,
    key: Key = None,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Create a new secret for a token and print it. It is not shown again. The token keeps its id and all its fields.

    With --expires-in or --expires-at the token is renewed, also if it has expired;
    earlier secrets do not work longer for that.

    With --self you rotate the token that you hold, which has to allow it: it is
    read from POLLGATE_TOKEN, from the file named by POLLGATE_TOKEN_FILE, from a
    prompt, or from standard input in a pipe. No admin key is needed.

    After a lost response the request is repeated once. If that fails too, a
    command that returns the new secret is printed. Exit status 1 also if the
    rotation is not effective everywhere in time, with the new secret printed.

    Parameters
    ----------
    token_id
        Id of the token (tok_…); see `pollgate token list`.
    self_
        Rotate the token that you hold, instead of one with an id.
    overlap
        How long earlier secrets continue to work; 1h by default, 0 ends them at once.
    end_on_use
        End earlier secrets as soon as the new one is used.
    """
    if expires_in is not None and expires_at is not None:
        raise UsageError("give either --expires-in or --expires-at")
    if self_ and (token_id is not None or expires_in is not None or expires_at is not None):
        raise UsageError("--self takes neither an id nor a new expiry, which an administrator sets")
    rotation = _Rotation(
        key=new_key(key),
        overlap=overlap,
        end_on_use=end_on_use,
        expires_in=expires_in,
        expires_at=expires_at,
        wait=wait,
    )
    token: RotatedToken | RotatedHeldToken
    if self_:
        token = rotation.rotate_held()
    elif token_id is not None:
        token = rotation.rotate(token_id)
    else:
        raise UsageError("give the id of a token, or --self for the token that you hold")
    if as_json:
        print_json(token)
    else:
        _print_rotated(token, at_once=overlap == timedelta(), end_on_use=end_on_use)
    if wait:
        require_effective(token.effect, "the new secret works")


class _Rotation(NamedTuple):
    """A rotation, which is repeated under its key after a lost response."""

    key: str
    overlap: timedelta | None
    end_on_use: bool
    expires_in: timedelta | str | None
    expires_at: datetime | None
    wait: bool

    def rotate(self, token_id: str) -> RotatedToken:
        """Rotate the token with this id. Raise `CliError`."""
        return run_with_authority(
            lambda authority: self._send(
                token_id,
                lambda: authority.rotate_token(
                    token_id,
                    idempotency_key=self.key,
                    overlap_s=self._overlap_s,
                    end_on_use=self.end_on_use,
                    expires_in=seconds_of(self.expires_in),
                    expires_at=self.expires_at,
                    wait=self.wait,
                ),
            )
        )

    def rotate_held(self) -> RotatedHeldToken:
        """Rotate the token that the user holds. Raise `CliError`."""
        return run_as_holder(
            lambda holder: self._send(
                "--self",
                lambda: holder.rotate(
                    idempotency_key=self.key, overlap_s=self._overlap_s, end_on_use=self.end_on_use, wait=self.wait
                ),
            )
        )

    @property
    def _overlap_s(self) -> int | None:
        return None if self.overlap is None else int(self.overlap.total_seconds())

    async def _send(self, token: str, send: Callable[[], Awaitable[T]]) -> T:
        advice = f"this command returns its new secret:\n  {self._command(token)}"
        return await wait_with_notice(repeat_once(send, advice))

    def _command(self, token: str) -> str:
        """Return the command that repeats the rotation of `token`, an id or `--self`."""
        words = ["pollgate", "token", "rotate", token]
        words += [] if self.overlap is None else ["--overlap", f"{self._overlap_s}s"]
        words += ["--end-on-use"] if self.end_on_use else []
        words += [] if self.expires_in is None else ["--expires-in", duration_text(self.expires_in)]
        words += [] if self.expires_at is None else ["--expires-at", self.expires_at.isoformat()]
        return shlex.join([*words, "--key", self.key])


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


def _print_rotated(token: RotatedToken | RotatedHeldToken, *, at_once: bool, end_on_use: bool) -> None:
    print(f"{token.token}\n\nStore this secret of {token.id} now: it is not shown again.")
    if token.expires_at is not None:
        print(f"The token expires {format_exact_time(token.expires_at)}.")
    end = describe_old_secrets(token.old_secrets_end_at, at_once=at_once, end_on_use=end_on_use)
    print(f"{end}{describe_effect(token.effect)}")
