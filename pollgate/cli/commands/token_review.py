"""`pollgate token review`, `keep` and `complete-review`: tokens that need attention, for people and for cron."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from cyclopts import Parameter

from pollgate.cli.admin_limits import describe_limits
from pollgate.cli.authority_session import authority_group, run_with_authority
from pollgate.cli.options import Json
from pollgate.cli.output import escape, pluralize, print_json, print_table
from pollgate.cli.times import format_exact_time
from pollgate.cli.token_origin import describe_origin
from pollgate.client import AdminKey, AuthorityClient, Finding, ReviewCompletion

Kind = Literal[
    "rotated_secret_in_use", "owner_inactive", "reaches_any", "never_expires", "expiring", "unused", "never_used"
]
FOUND: Final = 3
"""The exit status if there are findings."""

_HEADINGS: Final[dict[str, str]] = {
    "rotated_secret_in_use": "Rotated secrets that are still in use",
    "owner_inactive": "Owners without other activity",
    "reaches_any": "Tokens with access to ANY content of their site",
    "never_expires": "Tokens without expiry",
    "expiring": "Tokens that expire soon",
    "unused": "Tokens that are no longer used",
    "never_used": "Tokens that were never used",
}
"""By kind, the most urgent first."""

app = authority_group("token", "Review access tokens, and keep findings.")


@app.command(
    help_epilogue="Examples:\n\n"
    "  pollgate token review --expiring-days 14\n"
    "  pollgate token review --kind unused --kind never_used --unused-days 30\n\n"
    "Exit status: 0 without findings, 3 with findings, 1 if the review failed."
)
def review(
    *,
    unused_days: Annotated[int | None, Parameter(metavar="N")] = None,
    expiring_days: Annotated[int | None, Parameter(metavar="N")] = None,
    search: str | None = None,
    kind: Annotated[list[Kind] | None, Parameter(negative="")] = None,
    include_kept: Annotated[bool, Parameter(negative="")] = False,
    as_json: Json = False,
) -> int:
    """Find tokens that need attention, and print the reason and what to do.

    Findings that are kept, by `pollgate token keep`, are left out.

    Parameters
    ----------
    unused_days
        Days without use after which a token is unused; 90 by default.
    expiring_days
        Days before its expiry from which a token is expiring; 7 by default.
    search
        Only tokens with this text in the name, description or owner, with this id, or with these last four characters.
    kind
        Kind of finding; all kinds by default. Repeatable.
    include_kept
        Also findings that are kept.
    """
    kinds = list(dict.fromkeys(kind or ()))

    async def collect(authority: AuthorityClient) -> tuple[list[Finding], AdminKey | None]:
        findings = authority.review_tokens(
            kinds,
            search=search,
            unused_days=unused_days,
            expiring_days=expiring_days,
            include_kept=include_kept or None,
        )
        found = [finding async for finding in findings]
        return found, None if found else await authority.get_own_admin_key()

    found, key = run_with_authority(collect)
    if as_json:
        print_json(found)
    elif key is not None:
        print(f"{describe_limits(key)}No findings.")
    else:
        _print_groups(found)
    return FOUND if found else 0


@app.command(help_epilogue="Example:\n\n  pollgate token keep tok_3JDxtsz4ic3g56zQ --kind never_expires --days 30")
def keep(token_id: str, /, *, kind: Kind, days: int | None = None, as_json: Json = False) -> None:
    """Leave a finding of a token out of reviews for some days.

    Parameters
    ----------
    token_id
        Id of the token (tok_…); see `pollgate token review`.
    kind
        Kind of the finding.
    days
        Days from now, 1 to 365; 90 by default.
    """
    kept = run_with_authority(lambda authority: authority.keep_finding(token_id, kind, days))
    if as_json:
        print_json(kept)
    else:
        print(
            f"Reviews leave out the finding {kept.kind} of {kept.token_id} until {format_exact_time(kept.kept_until)}."
        )


@app.command(help_epilogue="Example:\n\n  pollgate token complete-review")
def complete_review(*, as_json: Json = False) -> None:
    """Record in the audit log that you have completed a review, and print when it was completed before."""

    async def complete(authority: AuthorityClient) -> tuple[ReviewCompletion, ReviewCompletion | None]:
        before = await authority.get_last_completed_review()
        return await authority.complete_review(), before

    completion, before = run_with_authority(complete)
    if as_json:
        print_json(completion)
        return
    print(f"Completed the review at {format_exact_time(completion.at)}.")
    if before is not None:
        print(f"The one before was completed at {format_exact_time(before.at)} by {escape(before.by)}.")


def _print_groups(found: Sequence[Finding]) -> None:
    kinds = [*_HEADINGS, *sorted({each.kind for each in found} - _HEADINGS.keys())]
    present = [kind for kind in kinds if any(each.kind == kind for each in found)]
    for kind in present:
        if kind != present[0]:
            print()
        _print_group(_HEADINGS.get(kind, escape(kind)), [each for each in found if each.kind == kind])


def _print_group(heading: str, findings: Sequence[Finding]) -> None:
    print(f"{heading}: {pluralize(len(findings), 'token')}")
    rows = [(each.token.name, each.token.id, each.token.owner or "", _why(each)) for each in findings]
    print_table(("Name", "Id", "Owner", "Why"), rows, foldable=("Name", "Owner", "Why"))
    for remedy in dict.fromkeys(each.remedy for each in findings):
        print(escape(remedy))


def _why(finding: Finding) -> str:
    origin = describe_origin(finding.token)
    why = f"{finding.reason} Its last use came{origin}." if origin else finding.reason
    if finding.kept_until is None:
        return why
    return f"{why} Kept until {format_exact_time(finding.kept_until)} by {finding.kept_by or 'unknown'}."
