"""`pollgate token revoke`: revoke one token, several, or all that meet conditions."""

import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from cyclopts import Parameter

from pollgate.cli.authority_session import authority_group, run_with_authority
from pollgate.cli.effect import describe_effect, require_effective, wait_with_notice
from pollgate.cli.errors import CliError, UsageError
from pollgate.cli.options import Json, Wait
from pollgate.cli.output import pluralize, print_json
from pollgate.cli.secret_input import IdOrInput, require_ids, resolve_token_id
from pollgate.cli.times import Duration, Past, format_exact_time, resolve_since
from pollgate.client import AuthorityClient, BulkRevocation, TokenStatus

ReasonKind = Literal["leaked", "unneeded", "rotated", "owner_left", "policy", "other"]
NO_MATCH: Final = "no token that this admin key sees meets these conditions; none was revoked"

app = authority_group("token", "Revoke access tokens.")


@app.command(
    usage="Usage: pollgate token revoke --reason REASON [OPTIONS] [TOKEN_ID...]",
    help_epilogue="Examples:\n\n"
    "  pollgate token revoke tok_3JDxtsz4ic3g56zQ --reason leaked\n"
    "  pollgate token revoke --owner ada --reason owner_left --dry-run\n"
    "  pollgate token revoke - --reason leaked < leaked.txt\n"
    "  pollgate token revoke --all --reason policy --yes",
)
def revoke(
    *token_ids: IdOrInput,
    reason: ReasonKind,
    text: str | None = None,
    owner: str | None = None,
    site: str | None = None,
    scope: str | None = None,
    status: Annotated[list[TokenStatus] | None, Parameter(negative="")] = None,
    search: str | None = None,
    issued_before: Past | None = None,
    unused_since: Past | None = None,
    unused_for: Duration | None = None,
    every: Annotated[bool, Parameter(name="--all", negative="")] = False,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    yes: Annotated[bool, Parameter(negative="")] = False,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Revoke tokens permanently: those with these ids, or all that meet all conditions.

    Returns when no replica of any service accepts them any more, also for
    tokens that are already revoked. Exit status 1 if that is not so in time, an
    id is unknown, or no token meets the conditions. A time is given as
    2027-01-31 (its first moment) or 2027-01-31T12:00, in UTC unless it has a
    zone, or as how long ago: 90d, 12h.

    Parameters
    ----------
    token_ids
        Ids of tokens (tok_…); see `pollgate token list`. - reads a secret from a prompt or standard input.
    reason
        Reason for the revocation.
    text
        Explanation; required with the reason other.
    owner
        Tokens of this owner.
    site
        Tokens of the site with this id.
    scope
        Tokens whose scopes overlap with this one: PLAT finds all with access to something in PLAT.
    status
        Tokens with this status; alive ones are neither revoked nor expired. Repeatable.
    search
        Tokens with this text in the name, description or owner, with this id, or with these last four characters.
    issued_before
        Tokens created before this time.
    unused_since
        Tokens not used since this time, or never used. Uses are reported about every second.
    unused_for
        The same, as a duration: 90d.
    every
        All tokens; requires --yes without a terminal.
    dry_run
        Print how many tokens would be revoked, and change nothing.
    yes
        Do not ask for confirmation before conditions revoke more than one token.
    """
    require_ids(token_ids)
    ids = [resolve_token_id(token_id) for token_id in token_ids]
    chosen = _selection(
        ids=ids or None,
        owner=owner,
        site=site,
        scope=scope,
        status=status or None,
        search=search,
        issued_before=issued_before,
        unused_since=resolve_since(unused_since, unused_for),
        all=every or None,
    )
    request = {**chosen, "reason": reason, **({"text": text} if text else {})}
    options = {"/unused_since": "--unused-for"} if unused_for is not None else {}
    if dry_run:
        _print_preview(request, options, as_json=as_json)
        return
    if not yes:
        _confirm(chosen, request, options)
    result = _revoke(request, options, wait=wait)
    if as_json:
        print_json(result)
    elif result.revocation:
        print(_summary(result, ids))
    if wait:
        require_effective(result.revocation)
    _require_matched(result)


def _selection(**conditions: Any) -> dict[str, Any]:
    given = {name: value for name, value in conditions.items() if value is not None}
    if "all" in given and len(given) > 1:
        raise UsageError("--all cannot be combined with ids or conditions")
    if not given:
        raise UsageError("give ids of tokens, or a condition; see `pollgate token revoke --help`")
    return given


def _print_preview(request: Mapping[str, Any], options: Mapping[str, str], *, as_json: bool) -> None:
    preview = _preview(request, options)
    if as_json:
        print_json(preview)
    else:
        before = f" ({preview.already_revoked} already revoked)" if preview.already_revoked else ""
        print(f"This would revoke {pluralize(preview.revoked, 'token')}{before}. Nothing was changed.")
    _require_matched(preview)


def _confirm(chosen: Mapping[str, Any], request: Mapping[str, Any], options: Mapping[str, str]) -> None:
    """Ask for confirmation before conditions revoke more than one token. Raise `CliError` without it."""
    if chosen.keys() == {"ids"}:
        return
    if not sys.stdin.isatty():
        if "all" in chosen:
            raise UsageError(
                "--all requires --yes without a terminal; --dry-run prints how many tokens it would revoke"
            )
        return
    number = _preview(request, options).revoked
    if number < 2 and "all" not in chosen:
        return
    print(
        f"This revokes {pluralize(number, 'token')} permanently. Continue? [y/N] ", end="", file=sys.stderr, flush=True
    )
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CliError("nothing was revoked")


def _preview(request: Mapping[str, Any], options: Mapping[str, str]) -> BulkRevocation:
    return run_with_authority(lambda authority: authority.revoke_tokens(**request, dry_run=True, wait=False), options)


def _revoke(request: Mapping[str, Any], options: Mapping[str, str], *, wait: bool) -> BulkRevocation:
    async def revoke_all(authority: AuthorityClient) -> BulkRevocation:
        ids = request.get("ids", ())
        if len(ids) == 1 and request.keys() <= {"ids", "reason", "text"}:
            revocation = await authority.revoke_token(ids[0], request["reason"], request.get("text"), wait=wait)
            return BulkRevocation(1, 0, [], revocation)
        return await authority.revoke_tokens(**request, wait=wait)

    return run_with_authority(
        lambda authority: wait_with_notice(revoke_all(authority)) if wait else revoke_all(authority), options
    )


def _require_matched(result: BulkRevocation) -> None:
    if result.unmatched:
        raise CliError(f"unknown ids, or ids of tokens that do not meet the conditions: {', '.join(result.unmatched)}")
    if not result.revoked + result.already_revoked:
        raise CliError(NO_MATCH)


def _summary(result: BulkRevocation, token_ids: Sequence[str]) -> str:
    revocation = result.revocation
    at = format_exact_time(revocation.revoked_at if revocation else None)
    if not result.revoked:
        before = pluralize(result.already_revoked, "token")
        return f"Nothing to revoke: {before} already revoked, the last at {at}{describe_effect(revocation)}"
    what = token_ids[0] if len(token_ids) == 1 else pluralize(result.revoked, "token")
    before = f" ({result.already_revoked} already revoked)" if result.already_revoked else ""
    return f"Revoked {what} at {at}{before}{describe_effect(revocation)}"
