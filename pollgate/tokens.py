"""`pollgate token`: make, list, show and revoke access tokens against a running authority."""

import asyncio
import os
import sys
from collections.abc import Coroutine, Sequence
from datetime import datetime
from typing import Annotated, Final, Literal, TypeVar

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from pollgate.call import WHERE_AND_AS_WHOM, Json, call, print_json
from pollgate.client import AuthorityClient, BulkRevocation, Guards, Token
from pollgate.sentence import Sentence
from shared.contract.scope import Action, Scope

app = App(
    name="token",
    help=f"Make, list, show and revoke access tokens.\n\n{WHERE_AND_AS_WHOM}",
)

T = TypeVar("T")
ReasonKind = Literal["leaked", "unneeded", "rotated", "owner_left", "policy", "other"]
QUIET_S: Final = 1.5
"""How long a revocation is waited for without a word."""


@app.command
def create(
    *,
    name: str,
    scope: Annotated[list[str], Parameter(negative="")],
    expires_at: datetime | None = None,
    site: str | None = None,
    owner: str | None = None,
    as_json: Json = False,
) -> None:
    """Make a token and show it, this once, with the URL where it works: that of polls is read from POLLS_URL
    (http://127.0.0.1:8080).

    Parameters
    ----------
    name
        What the token is for, 1 to 255 characters.
    scope
        What it may do and where: polls:ACTIONS:SELECTOR, as in polls:read,create:PLAT or polls:*:PLAT/PLAT-1. Repeat
        for several.
    expires_at
        When it ends, as in 2027-01-31T00:00:00 (local time). Without this it never does.
    site
        The id of the site it is for; the default site where this is left out.
    owner
        Who answers for it: a person, a team or a job.
    """
    expiry = expires_at.astimezone() if expires_at else None

    async def make(authority: AuthorityClient) -> tuple[Token, str]:
        made = await authority.create_token(name, scope, expires_at=expiry, site=site, owner=owner)
        return made, next(each.endpoint_id for each in await authority.sites() if each.id == made.site)

    token, endpoint_id = call(make)
    if as_json:
        print_json(token)
        return
    _print_table([token])
    print(f"\n{token.token}\n\nStore this token now: it is not shown again.")
    print(f"It works at {os.environ.get('POLLS_URL', 'http://127.0.0.1:8080')}/x1/{endpoint_id}")
    if any(_reaches_everything(text) for text in token.scopes):
        print("It reaches ANY content of its site. A narrower scope, such as polls:read:PLAT, is safer.")


@app.command(name="list")
def list_(*, as_json: Json = False) -> None:
    """List every token by name."""

    async def gather(authority: AuthorityClient) -> list[Token]:
        return [token async for token in authority.tokens()]

    found = call(gather)
    if as_json:
        print_json(found)
    elif found:
        _print_table(found)
    else:
        print("There are no tokens yet; `pollgate token create` makes one.")


@app.command
def show(token_id: str, /, *, as_json: Json = False) -> None:
    """Show one token by its id."""
    token = call(lambda authority: authority.token(token_id))
    print_json(token) if as_json else _print_table([token])


@app.command
def revoke(
    *token_ids: str,
    reason: ReasonKind,
    text: str | None = None,
    owner: str | None = None,
    site: str | None = None,
    scope: str | None = None,
    issued_before: datetime | None = None,
    unused_since: datetime | None = None,
    every: Annotated[bool, Parameter(name="--all", negative="")] = False,
    wait: bool = True,
    as_json: Json = False,
) -> None:
    """End tokens for good: those named by their ids, or all that meet every condition given.

    Returns when no replica of any service accepts them any more, also where they had been revoked before. Status 1
    where that is not so in the end, or an id names no token.

    Parameters
    ----------
    reason
        Why.
    text
        What else there is to say; required with the reason other.
    owner
        Those of this owner.
    site
        Those of the site with this id.
    scope
        Those that can do something of this scope: polls:*:PLAT takes all that reach into PLAT.
    issued_before
        Those made before this time, as in 2026-11-30T12:00:00 (local time).
    unused_since
        Those not used since this time, or never. Services report uses about once a second; introspections by other
        services are not counted.
    every
        Every token.
    wait
        With --no-wait, return at once and say by when it will be in force.
    """
    conditions = {
        "ids": list(token_ids) or None,
        "owner": owner,
        "site": site,
        "scope": scope,
        "issued_before": issued_before.astimezone() if issued_before else None,
        "unused_since": unused_since.astimezone() if unused_since else None,
    }
    given = {name: value for name, value in conditions.items() if value is not None} | ({"all": True} if every else {})
    if every and len(given) > 1:
        raise Sentence("--all is every token, so it stands alone; leave it out for those that meet the conditions")
    if not given:
        raise Sentence("name tokens by their ids, or give a condition; `pollgate token revoke --help` lists them")

    why = {"reason": reason} | ({"text": text} if text else {})

    async def end(authority: AuthorityClient) -> BulkRevocation:
        if given.keys() == {"ids"} and len(token_ids) == 1:
            return BulkRevocation(1, 0, [], await authority.revoke(token_ids[0], why, wait=wait))
        return await authority.revoke_many({**given, **why}, wait=wait)

    ended = call(lambda authority: _patiently(end(authority)) if wait else end(authority))
    print_json(ended) if as_json else print(_told(ended, token_ids))
    if wait and ended.revocation and not ended.revocation.effective:
        raise Sentence(
            "the authority could not wait until it was in force everywhere; the same command again waits for the rest"
        )
    if ended.unmatched:
        raise Sentence(f"no token of these ids, or none that meets the conditions: {', '.join(ended.unmatched)}")


def _told(ended: BulkRevocation, token_ids: Sequence[str]) -> str:
    revocation = ended.revocation
    if revocation is None:
        return "No token meets that, so none was revoked."
    time = f"{revocation.revoked_at:%Y-%m-%d %H:%M:%S} UTC"
    if not ended.revoked:
        revoked = f"No token was left to revoke: {_tokens(ended.already_revoked)} revoked before, the last at {time}"
    else:
        what = token_ids[0] if len(token_ids) == 1 else _tokens(ended.revoked)
        before = f" ({ended.already_revoked} more had been before)" if ended.already_revoked else ""
        revoked = f"Revoked {what} at {time}{before}"
    if revocation.effective_by:
        return f"{revoked}; in force everywhere by {revocation.effective_by:%H:%M:%S.%f} UTC at the latest."
    guards = revocation.guards or Guards(0, 0)
    confirmed = f"{guards.confirmed} guard{'' if guards.confirmed == 1 else 's'}"
    cut_off = f", {guards.expired} cut off" if guards.expired else ""
    return f"{revoked}; in force everywhere after {revocation.waited_ms:.0f} ms ({confirmed}{cut_off})."


async def _patiently(revocation: Coroutine[None, None, T]) -> T:
    """The answer; who has to wait for it is told why."""
    task = asyncio.create_task(revocation)
    done, _ = await asyncio.wait({task}, timeout=QUIET_S)
    if not done:
        print(
            "Waiting until it is in force everywhere: for a guard that is cut off, until its lease is over. "
            "Ctrl-C ends the waiting, not the revocation.",
            file=sys.stderr,
        )
    return await task


def _tokens(number: int) -> str:
    return f"{number} token{'' if number == 1 else 's'}"


def _print_table(tokens: Sequence[Token]) -> None:
    table = Table("Name", "Id", "Scope", "Token", "Status", "Expires")
    for token in tokens:
        scopes = "\n".join(_shown(text) for text in token.scopes)
        expires = f"{token.expires_at:%Y-%m-%d %H:%M}" if token.expires_at else "never"
        table.add_row(token.name, token.id, scopes, token.hint, token.status, expires)
    # A pipe has no width: nothing is cut off there.
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _shown(text: str) -> str:
    return "ANY" if _reaches_everything(text) else text


def _reaches_everything(text: str) -> bool:
    scope = Scope.parse(text)
    return not scope.path and scope.actions == frozenset(Action)
