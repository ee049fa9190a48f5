"""`pollgate token create`, `list` and `show`, and the group of all token commands."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
from cyclopts import Parameter

from pollgate.cli.admin_limits import describe_limits
from pollgate.cli.authority_session import authority_group, run_with_authority
from pollgate.cli.commands import token_change, token_find, token_review, token_revoke
from pollgate.cli.errors import UsageError
from pollgate.cli.options import Json
from pollgate.cli.output import pluralize, print_fields, print_json, print_table, warn
from pollgate.cli.repetition import Key, send_with_key
from pollgate.cli.secret_input import IdOrInput, require_ids, resolve_token_id
from pollgate.cli.secrets_table import print_secrets
from pollgate.cli.times import Duration, Future, Past, format_exact_time, format_time, resolve_since
from pollgate.cli.token_fields import (
    NO_FIELDS,
    TokenFields,
    displayed_scope,
    is_unrestricted,
    parse_scopes,
)
from pollgate.cli.token_origin import describe_origin
from pollgate.client import (
    AdminKey,
    AuthorityClient,
    DailyUse,
    IssuedToken,
    Site,
    Token,
    TokenDetail,
    TokenSort,
    TokenStatus,
)

SHOWN_DAYS: Final = 14

app = authority_group("token", "Create, find, change, rotate and revoke access tokens.")


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
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Create a token and print its secret, which is not shown again, and the URL where it works. The URL of polls is
    read from POLLS_URL (http://127.0.0.1:8080).

    Parameters
    ----------
    name
        Purpose of the token, 1 to 255 characters.
    scope
        Actions and place, such as polls:read,create:PLAT or polls:*:PLAT/PLAT-1, or ANY for everything. Repeatable.
    site
        Id of the site; the default site by default.
    """
    body = fields.to_body()

    async def make(authority: AuthorityClient) -> tuple[IssuedToken, list[Site]]:
        # First, so that nothing fails between the creation of the secret and its output.
        sites = await authority.list_sites()
        issued = await send_with_key(
            lambda sent: authority.create_token(name, parse_scopes(scope), site=site, idempotency_key=sent, **body), key
        )
        return issued, sites

    token, sites = run_with_authority(make, fields.options(scope))
    if token.expires_at is None and fields.expires_in != "never":
        warn(
            "this token never expires; --expires-in 90d would limit its life, and --expires-in never omits this warning"
        )
    if any(is_unrestricted(text) for text in token.scopes):
        warn("this token can access ANY content of its site; a narrower scope, such as polls:read:PLAT, is safer")
    if as_json:
        print_json(token)
        return
    _print_table([token])
    print(f"\n{token.token}\n\nStore this token now: it is not shown again.")
    if token.expires_at is not None:
        print(f"It expires {format_exact_time(token.expires_at)}.")
    for each in sites:
        if each.id == token.site:
            print(f"It works at {os.environ.get('POLLS_URL', 'http://127.0.0.1:8080')}/x1/{each.endpoint_id}")


@app.command(
    name="list",
    help_epilogue="Examples:\n\n"
    "  pollgate token list --status expiring --sort expires_at\n"
    "  pollgate token list --owner ada --unused-for 90d --json",
)
def list_(
    *,
    search: str | None = None,
    status: Annotated[list[TokenStatus] | None, Parameter(negative="")] = None,
    every: Annotated[bool, Parameter(name="--all", negative="")] = False,
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
    sort: TokenSort = "name",
    descending: Annotated[bool, Parameter(negative="")] = False,
    limit: Annotated[int | None, Parameter(metavar="N")] = None,
    as_json: Json = False,
) -> None:
    """List the tokens that are alive, that is neither expired nor revoked, and meet all conditions. Times are in UTC.

    A time is given as 2027-01-31 (its first moment) or 2027-01-31T12:00, in UTC
    unless it has a zone, or as how long ago, for expiry how long from now: 90d,
    12h, 1h30m.

    Parameters
    ----------
    search
        Text in the name, description or owner, a whole id, or the last four characters of a secret, in any letter case.
    status
        Tokens with this status, alive by default; expiring ones are active and expire within 7 days. Repeatable.
    every
        Tokens with any status, also expired and revoked ones.
    owner
        Tokens of this owner.
    site
        Tokens of the site with this id.
    scope
        Tokens whose scopes overlap with this one: PLAT, polls:read:PLAT/PLAT-1 or ANY.
    created_after
        Tokens created at this time or later.
    created_before
        Tokens created before this time.
    used_after
        Tokens used at this time or later.
    unused_since
        Tokens not used since this time, or never used.
    unused_for
        The same, as a duration: 90d.
    expires_after
        Tokens that expire at this time or later, or never.
    expires_before
        Tokens that expire before this time.
    sort
        Column to sort by; the name by default.
    descending
        Sort in descending order.
    limit
        Maximum number of tokens; all by default.
    """
    if every and status:
        raise UsageError("give either --status or --all")
    conditions: dict[str, Any] = {
        "search": search,
        "status": None if every else status or ["alive"],
        "owner": owner,
        "site": site,
        "scope": scope,
        "created_after": created_after,
        "created_before": created_before,
        "used_after": used_after,
        "unused_since": resolve_since(unused_since, unused_for),
        "expires_after": expires_after,
        "expires_before": expires_before,
    }
    if limit is not None and limit < 1:
        raise UsageError("--limit must be at least 1")

    async def collect(authority: AuthorityClient) -> tuple[list[Token], AdminKey | None]:
        listed = authority.list_tokens(limit, **conditions, sort=sort, descending=descending)
        found = [token async for token in listed]
        return found, None if found else await authority.get_own_admin_key()

    found, key = run_with_authority(collect, {"unused_since": "--unused-for"} if unused_for is not None else {})
    if as_json:
        print_json(found)
    elif key is None:
        _print_table(found)
    else:
        others = {name: value for name, value in conditions.items() if name != "status" and value is not None}
        print(describe_limits(key) + _describe_none(is_narrowed=bool(status or others), every=every))


@app.command(
    help_epilogue="Examples:\n\n  pollgate token show tok_3JDxtsz4ic3g56zQ\n  pollgate token show - < leaked.txt"
)
def show(token_id: IdOrInput, /, *, as_json: Json = False) -> None:
    """Show a token: its scopes and limits, the state of its secrets, its use, and how it ended.

    Parameters
    ----------
    token_id
        Id of the token (tok_…); see `pollgate token list`. - reads a secret from a prompt or standard input.
    """
    require_ids([token_id])
    shown_id = resolve_token_id(token_id)
    token = run_with_authority(lambda authority: authority.get_token(shown_id))
    if as_json:
        print_json(token)
        return
    print_fields(_fields(token))
    print()
    print_secrets(token.secrets)
    print()
    _print_days(token.days)


def _describe_none(*, is_narrowed: bool, every: bool) -> str:
    hint = "" if every else " Expired and revoked tokens are listed by --all."
    if is_narrowed:
        return f"No token meets these conditions.{hint}"
    return f"There are no tokens{'' if every else ' that are alive'}; `pollgate token create` creates one.{hint}"


for more in (token_find.app, token_change.app, token_revoke.app, token_review.app):
    for command_name, command in more.resolved_commands().items():
        if not command_name.startswith("-"):
            app.command(command, name=command_name)


def _print_table(tokens: Sequence[Token]) -> None:
    columns = ("Name", "Id", "Owner", "Scope", "Status", "Created (UTC)", "Expires", "Last used")
    print_table(columns, (_row(token) for token in tokens), foldable=("Name", "Owner", "Scope"))


def _row(token: Token) -> tuple[str, ...]:
    times = (format_time(token.created_at), format_time(token.expires_at), format_time(token.last_used_at))
    return (token.name, token.id, token.owner or "", _scopes(token), token.status, *times)


def _scopes(token: Token) -> str:
    return "\n".join(map(displayed_scope, token.scopes))


def _fields(token: TokenDetail) -> list[tuple[str, str]]:
    fields = [
        ("Name", token.name),
        ("Id", token.id),
        ("Status", token.status),
        ("Description", token.description),
        ("Owner", token.owner or ""),
        ("Site", token.site),
        ("Scope", _scopes(token)),
        ("Accepted in", "header or URL" if token.allow_query else "header"),
        ("Accepted from", "\n".join(token.allowed_ips) or "all addresses"),
        ("Self-rotation", "allowed" if token.self_rotation else ""),
        ("Rate limit", f"{pluralize(token.rate_limit, 'request')} per minute" if token.rate_limit else "none"),
        ("Metadata", msgspec.json.encode(token.metadata).decode() if token.metadata else ""),
        ("Created", f"{format_exact_time(token.created_at)} by {token.created_by}"),
        ("Expires", format_exact_time(token.expires_at)),
        ("Last used", f"{format_exact_time(token.last_used_at)}{describe_origin(token)}"),
        ("Uses", f"{token.uses:,}, and {token.refusals:,} refused"),
        ("Disabled", _describe_end(token.disabled_at, token.disabled_by, token.disabled_reason)),
        ("Revoked", _describe_end(token.revoked_at, token.revoked_by, token.revoked_reason, token.revoked_text)),
    ]
    return [(name, value) for name, value in fields if value]


def _describe_end(at: datetime | None, by: str | None, *why: str | None) -> str:
    if at is None:
        return ""
    return f"{format_exact_time(at)} by {by or 'unknown'}" + "".join(f": {reason}" for reason in why if reason)


def _print_days(days: Sequence[DailyUse]) -> None:
    first = datetime.now(UTC).date() - timedelta(days=SHOWN_DAYS - 1)
    recent = [day for day in days if day.day >= first]
    if not recent:
        print(f"Not used in the last {SHOWN_DAYS} days.")
        return
    print(f"Use in the last {SHOWN_DAYS} days")
    rows = [(str(day.day), f"{day.uses:,}", f"{day.refusals:,}") for day in recent]
    print_table(("Day (UTC)", "Uses", "Refusals"), rows)
