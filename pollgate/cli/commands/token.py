"""`pollgate token`: make, find and show access tokens; the commands that change and end them are in modules of their
own.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

import msgspec
from cyclopts import Parameter

from pollgate.cli.commands import token_change, token_review, token_revoke
from pollgate.cli.errors import CliError
from pollgate.cli.output import print_fields, print_json, print_table
from pollgate.cli.secrets_table import print_secrets
from pollgate.cli.session import Json, call, gather, management
from pollgate.cli.times import Duration, Future, Past, since, told, told_exactly
from pollgate.cli.token_fields import (
    FIELD_OPTIONS,
    NO_FIELDS,
    TokenFields,
    reaches_everything,
    scope_options,
    written_scopes,
)
from pollgate.client import AuthorityClient, DailyUse, IssuedToken, Site, Token, TokenDetail

StatusFilter = Literal["active", "expiring", "disabled", "expired", "revoked"]
SortKey = Literal["name", "owner", "site", "created_at", "expires_at", "last_used_at"]
SHOWN_DAYS: Final = 14

app = management("token", "Make, find, change, rotate and revoke access tokens.")


@app.command(
    help_epilogue="Examples:\n\n"
    "  pollgate token create --name 'Weekly report' --scope polls:read:PLAT\n"
    "  pollgate token create --name CI --scope ANY --expires-in 30d --header-only"
)
def create(
    *,
    name: str,
    scope: Annotated[list[str], Parameter(negative="")],
    site: str | None = None,
    fields: Annotated[TokenFields, Parameter(name="*")] = NO_FIELDS,
    as_json: Json = False,
) -> None:
    """Make a token and show its secret, this once, with the URL where it works: that of polls is read from POLLS_URL
    (http://127.0.0.1:8080).

    Parameters
    ----------
    name
        What the token is for, 1 to 255 characters.
    scope
        What it may do and where: polls:read,create:PLAT, polls:*:PLAT/PLAT-1, or ANY for everything. Repeatable.
    site
        The id of the site it is for; the default site where this is left out.
    """
    body = fields.to_body()

    async def make(authority: AuthorityClient) -> tuple[IssuedToken, list[Site]]:
        sites = await authority.list_sites()  # first, so that nothing can fail once there is a secret to show
        return await authority.create_token(name, written_scopes(scope), site=site, **body), sites

    token, sites = call(make, {**FIELD_OPTIONS, **scope_options(scope)})
    if as_json:
        print_json(token)
        return
    _print_table([token])
    print(f"\n{token.token}\n\nStore this token now: it is not shown again.")
    for each in sites:
        if each.id == token.site:
            print(f"It works at {os.environ.get('POLLS_URL', 'http://127.0.0.1:8080')}/x1/{each.endpoint_id}")
    if any(reaches_everything(text) for text in token.scopes):
        print("It reaches ANY content of its site. A narrower scope, such as polls:read:PLAT, is safer.")


@app.command(
    name="list",
    help_epilogue="Examples:\n\n"
    "  pollgate token list --status expiring --sort expires_at\n"
    "  pollgate token list --owner ada --unused-for 90d --json",
)
def list_(
    *,
    search: str | None = None,
    status: StatusFilter | None = None,
    owner: str | None = None,
    site: str | None = None,
    scope: str | None = None,
    created_after: Past | None = None,
    created_before: Past | None = None,
    used_after: Past | None = None,
    unused_since: Past | None = None,
    unused_for: Duration | None = None,
    expires_after: Future | None = None,
    expires_before: Future | None = None,
    sort: SortKey = "name",
    descending: Annotated[bool, Parameter(negative="")] = False,
    limit: Annotated[int | None, Parameter(metavar="N")] = None,
    as_json: Json = False,
) -> None:
    """List the tokens that meet every condition given, dead ones too; times are shown in UTC.

    A time is given as 2027-01-31 or 2027-01-31T12:00 (local time), or as how
    long ago, for expiry how long from now: 90d, 12h, 1h30m.

    Parameters
    ----------
    search
        Those with this in their name or description, in any case.
    status
        Those that are so; expiring ones are active and end within 7 days.
    owner
        Those of this owner.
    site
        Those of the site with this id.
    scope
        Those that can do something of this scope: PLAT, polls:read:PLAT/PLAT-1 or ANY.
    created_after
        Those made at this time or later.
    created_before
        Those made before this time.
    used_after
        Those used at this time or later.
    unused_since
        Those not used since this time, or never.
    unused_for
        The same, by how long: 90d.
    expires_after
        Those that end at this time or later, or never.
    expires_before
        Those that end before this time.
    sort
        By which column; by name where this is left out.
    descending
        The other way round.
    limit
        How many at most; all where this is left out.
    """
    conditions: dict[str, Any] = {
        "search": search,
        "status": status,
        "owner": owner,
        "site": site,
        "scope": scope,
        "created_after": created_after,
        "created_before": created_before,
        "used_after": used_after,
        "unused_since": since(unused_since, unused_for),
        "expires_after": expires_after,
        "expires_before": expires_before,
    }
    if limit is not None and limit < 1:
        raise CliError("--limit is at least 1")
    found = gather(lambda authority: authority.list_tokens(limit, **conditions, sort=sort, descending=descending))
    if as_json:
        print_json(found)
    elif found:
        _print_table(found)
    elif any(condition is not None for condition in conditions.values()):
        print("No token meets these conditions.")
    else:
        print("There are no tokens yet; `pollgate token create` makes one.")


@app.command(help_epilogue="Example:\n\n  pollgate token show tok_3JDxtsz4ic3g56zQ")
def show(token_id: str, /, *, as_json: Json = False) -> None:
    """Show all that is known of one token: what it may do, its secrets without their text, its use, and how it ended.

    Parameters
    ----------
    token_id
        Its id, tok_…, as `pollgate token list` shows it.
    """
    token = call(lambda authority: authority.get_token(token_id))
    if as_json:
        print_json(token)
        return
    print_fields(_fields(token))
    print()
    print_secrets(token.secrets)
    print()
    _print_days(token.days)


for more in (token_change.app, token_revoke.app, token_review.app):
    for command_name, command in more.resolved_commands().items():
        if not command_name.startswith("-"):
            app.command(command, name=command_name)


def _print_table(tokens: Sequence[Token]) -> None:
    columns = ("Name", "Id", "Owner", "Scope", "Status", "Created (UTC)", "Expires", "Last used")
    print_table(columns, (_row(token) for token in tokens), broken=("Name", "Owner", "Scope"))


def _row(token: Token) -> tuple[str, ...]:
    times = (told(token.created_at), told(token.expires_at), told(token.last_used_at))
    return (token.name, token.id, token.owner or "", _scopes(token), token.status, *times)


def _scopes(token: Token) -> str:
    return "\n".join("ANY" if reaches_everything(text) else text for text in token.scopes)


def _fields(token: TokenDetail) -> list[tuple[str, str]]:
    fields = [
        ("Name", token.name),
        ("Id", token.id),
        ("Status", token.status),
        ("Description", token.description),
        ("Owner", token.owner or ""),
        ("Site", token.site),
        ("Scope", _scopes(token)),
        ("Sent in", "the header or the query" if token.allow_query else "the header alone"),
        ("Works from", "\n".join(token.allowed_ips) or "everywhere"),
        ("Rate limit", f"{token.rate_limit} a minute" if token.rate_limit else "none"),
        ("Metadata", msgspec.json.encode(token.metadata).decode() if token.metadata else ""),
        ("Created", f"{told_exactly(token.created_at)} by {token.created_by}"),
        ("Expires", told_exactly(token.expires_at)),
        ("Last used", told_exactly(token.last_used_at)),
        ("Uses", f"{token.uses}, and {token.refusals} refused"),
        ("Disabled", _ended(token.disabled_at, token.disabled_by, token.disabled_reason)),
        ("Revoked", _ended(token.revoked_at, token.revoked_by, token.revoked_reason, token.revoked_text)),
    ]
    return [(name, value) for name, value in fields if value]


def _ended(at: datetime | None, by: str | None, *why: str | None) -> str:
    if at is None:
        return ""
    return f"{told_exactly(at)} by {by or 'somebody'}" + "".join(f": {reason}" for reason in why if reason)


def _print_days(days: Sequence[DailyUse]) -> None:
    first = datetime.now(UTC).date() - timedelta(days=SHOWN_DAYS - 1)
    recent = [day for day in days if day.day >= first]
    if not recent:
        print(f"Not used in the last {SHOWN_DAYS} days.")
        return
    print(f"Use in the last {SHOWN_DAYS} days")
    rows = [(str(day.day), str(day.uses), str(day.refusals)) for day in recent]
    print_table(("DailyUse (UTC)", "Uses", "Refusals"), rows)
