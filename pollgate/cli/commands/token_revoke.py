"""`pollgate token revoke`: end tokens for good, one, several, or all that meet conditions."""

import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from cyclopts import Parameter

from pollgate.cli.effect import patiently, require_effective, told_effect
from pollgate.cli.errors import CliError
from pollgate.cli.output import counted, print_json
from pollgate.cli.session import Json, Wait, call, management
from pollgate.cli.times import Duration, Past, since, told_exactly
from pollgate.client import AuthorityClient, BulkRevocation

StatusFilter = Literal["active", "expiring", "disabled", "expired", "revoked"]
ReasonKind = Literal["leaked", "unneeded", "rotated", "owner_left", "policy", "other"]
_OPTIONS: Final = {f"/{name}": f"--{name}" for name in ("text", "owner", "site", "scope", "status")}
NOBODY: Final = "no token meets that, so none was revoked"

app = management("token", "Revoke access tokens.")


@app.command(
    help_epilogue="Examples:\n\n"
    "  pollgate token revoke tok_3JDxtsz4ic3g56zQ --reason leaked\n"
    "  pollgate token revoke --owner ada --reason owner_left --dry-run\n"
    "  pollgate token revoke --all --reason policy --yes"
)
def revoke(
    *token_ids: str,
    reason: ReasonKind,
    text: str | None = None,
    owner: str | None = None,
    site: str | None = None,
    scope: str | None = None,
    status: StatusFilter | None = None,
    issued_before: Past | None = None,
    unused_since: Past | None = None,
    unused_for: Duration | None = None,
    every: Annotated[bool, Parameter(name="--all", negative="")] = False,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    yes: Annotated[bool, Parameter(negative="")] = False,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """End tokens for good: those named by their ids, or all that meet every condition given.

    Returns when no replica of any service accepts them any more, also where
    they had been revoked before. Status 1 where that is not so in the end, an
    id names no token, or no token meets the conditions. A time is given as
    2027-01-31 or 2027-01-31T12:00 (local time), or as how long ago: 90d, 12h.

    Parameters
    ----------
    token_ids
        Ids, tok_…, as `pollgate token list` shows them.
    reason
        Why.
    text
        What else there is to say; required with the reason other.
    owner
        Those of this owner.
    site
        Those of the site with this id.
    scope
        Those that can do something of this scope: PLAT takes all that reach into PLAT.
    status
        Those that are so.
    issued_before
        Those made before this time.
    unused_since
        Those not used since this time, or never. Uses are reported about once a second.
    unused_for
        The same, by how long: 90d.
    every
        Every token; takes --yes where nobody can be asked.
    dry_run
        Say how many tokens it would end, and change nothing.
    yes
        Do not ask before more than one token is ended by conditions.
    """
    chosen = _chosen(
        ids=list(token_ids) or None,
        owner=owner,
        site=site,
        scope=scope,
        status=status,
        issued_before=issued_before,
        unused_since=since(unused_since, unused_for),
        all=every or None,
    )
    asked = {**chosen, "reason": reason, **({"text": text} if text else {})}
    if dry_run:
        _foresee(asked, as_json=as_json)
        return
    if not yes:
        _confirm(chosen, asked)
    ended = _end(asked, wait=wait)
    if as_json:
        print_json(ended)
    elif ended.revocation:
        print(_told(ended, token_ids))
    if wait:
        require_effective(ended.revocation)
    _require_matched(ended)


def _chosen(**conditions: Any) -> dict[str, Any]:
    given = {name: value for name, value in conditions.items() if value is not None}
    if "all" in given and len(given) > 1:
        raise CliError("--all is every token, so it stands alone; leave it out for those that meet the conditions")
    if not given:
        raise CliError("name tokens by their ids, or give a condition; `pollgate token revoke --help` lists them")
    return given


def _foresee(asked: Mapping[str, Any], *, as_json: bool) -> None:
    foreseen = _preview(asked)
    if as_json:
        print_json(foreseen)
    else:
        before = f" ({foreseen.already_revoked} more had been before)" if foreseen.already_revoked else ""
        print(f"This would revoke {counted(foreseen.revoked, 'token')}{before}. Nothing was changed.")
    _require_matched(foreseen)


def _confirm(chosen: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Ask whoever sits at a terminal, where conditions take more than one token. Raises `CliError`."""
    if chosen.keys() == {"ids"}:
        return
    if not sys.stdin.isatty():
        if "all" in chosen:
            raise CliError("--all takes --yes where nobody can be asked; --dry-run says how many tokens they are")
        return
    number = _preview(asked).revoked
    if number < 2 and "all" not in chosen:
        return
    print(f"This revokes {counted(number, 'token')} for good. Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CliError("nothing was revoked")


def _preview(asked: Mapping[str, Any]) -> BulkRevocation:
    return call(lambda authority: authority.revoke_tokens(**asked, dry_run=True, wait=False), _OPTIONS)


def _end(asked: Mapping[str, Any], *, wait: bool) -> BulkRevocation:
    async def end(authority: AuthorityClient) -> BulkRevocation:
        ids = asked.get("ids", ())
        if len(ids) == 1 and asked.keys() <= {"ids", "reason", "text"}:
            revocation = await authority.revoke_token(ids[0], asked["reason"], asked.get("text"), wait=wait)
            return BulkRevocation(1, 0, [], revocation)
        return await authority.revoke_tokens(**asked, wait=wait)

    return call(lambda authority: patiently(end(authority)) if wait else end(authority), _OPTIONS)


def _require_matched(ended: BulkRevocation) -> None:
    if ended.unmatched:
        raise CliError(f"no token of these ids, or none that meets the conditions: {', '.join(ended.unmatched)}")
    if not ended.revoked + ended.already_revoked:
        raise CliError(NOBODY)


def _told(ended: BulkRevocation, token_ids: Sequence[str]) -> str:
    revocation = ended.revocation
    at = told_exactly(revocation.revoked_at if revocation else None)
    if not ended.revoked:
        before = counted(ended.already_revoked, "token")
        return f"No token was left to revoke: {before} revoked before, the last at {at}{told_effect(revocation)}"
    what = token_ids[0] if len(token_ids) == 1 else counted(ended.revoked, "token")
    before = f" ({ended.already_revoked} more had been before)" if ended.already_revoked else ""
    return f"Revoked {what} at {at}{before}{told_effect(revocation)}"
