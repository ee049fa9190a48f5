"""`pollgate token review`: the tokens that someone should look at, for people and for cron."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from cyclopts import Parameter

from pollgate.cli.output import counted, plain, print_json, print_table
from pollgate.cli.session import Json, gather, management
from pollgate.client import Finding

Kind = Literal[
    "rotated_secret_in_use", "owner_inactive", "reaches_any", "never_expires", "expiring", "unused", "never_used"
]
FOUND: Final = 3
"""The exit status where there is something to look at."""

_HEADINGS: Final[dict[str, str]] = {
    "rotated_secret_in_use": "Rotated secrets that are still presented",
    "owner_inactive": "Owners of whom nothing else is seen any more",
    "reaches_any": "Tokens that reach ANY content of their site",
    "never_expires": "Tokens without an end",
    "expiring": "Tokens that end soon",
    "unused": "Tokens that are not used any more",
    "never_used": "Tokens that were never used",
}
"""By kind, the most pressing first."""

app = management("token", "Review access tokens.")


@app.command(
    help_epilogue="Examples:\n\n"
    "  pollgate token review --expiring-days 14\n"
    "  pollgate token review --kind unused --kind never_used --unused-days 30\n\n"
    "Exit status: 0 where there is nothing to look at, 3 where there is, 1 where the review failed."
)
def review(
    *,
    unused_days: Annotated[int | None, Parameter(metavar="N")] = None,
    expiring_days: Annotated[int | None, Parameter(metavar="N")] = None,
    kind: Annotated[list[Kind] | None, Parameter(negative="")] = None,
    as_json: Json = False,
) -> int:
    """Find the tokens that someone should look at, and say why and what to do.

    Parameters
    ----------
    unused_days
        Take a token for unused after so many days; 90 where this is left out.
    expiring_days
        Take a token for expiring when it ends within so many days; 7 where this is left out.
    kind
        Look for this alone; for everything where it is left out. Repeatable.
    """
    kinds = list(dict.fromkeys(kind or ()))
    found = gather(
        lambda authority: authority.review_tokens(kinds, unused_days=unused_days, expiring_days=expiring_days)
    )
    if as_json:
        print_json(found)
    elif not found:
        print("There is nothing to look at.")
    else:
        _print_groups(found)
    return FOUND if found else 0


def _print_groups(found: Sequence[Finding]) -> None:
    kinds = [*_HEADINGS, *sorted({each.kind for each in found} - _HEADINGS.keys())]
    present = [kind for kind in kinds if any(each.kind == kind for each in found)]
    for kind in present:
        if kind != present[0]:
            print()
        _print_group(_HEADINGS.get(kind, plain(kind)), [each for each in found if each.kind == kind])


def _print_group(heading: str, findings: Sequence[Finding]) -> None:
    print(f"{heading}: {counted(len(findings), 'token')}")
    rows = [(each.token.name, each.token.id, each.token.owner or "", each.reason) for each in findings]
    print_table(("Name", "Id", "Owner", "Why"), rows, broken=("Name", "Owner", "Why"))
    for remedy in dict.fromkeys(each.remedy for each in findings):
        print(plain(remedy))
