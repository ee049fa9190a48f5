"""Fields that several payloads share, with their descriptions in the OpenAPI document."""

from typing import Annotated, Any, Final

from msgspec import Meta

from services.token_authority.domain.secret import MAX_OVERLAP_S
from services.token_authority.domain.selection import StatusFilter
from services.token_authority.domain.token_fields import (
    MAX_DESCRIPTION_LENGTH,
    MAX_METADATA_BYTES,
    MAX_NAME_LENGTH,
    MAX_NETWORKS,
    MAX_RATE,
    MAX_SCOPES,
    NEVER,
)
from shared.contract.duration import DURATION_PATTERN
from shared.runtime.text.characters import STORED
from shared.runtime.text.times import describe_times, time_schema

EXAMPLE_TOKEN: Final = "pgt_…"  # noqa: S105 - an example
EXAMPLE_TOKEN_ID: Final = "tok_3JDxtsz4ic3g56zQ"  # noqa: S105 - an id

EndTime = Annotated[
    str,
    Meta(
        description=f"a time: {describe_times('last')}",
        examples=["2027-01-31T00:00:00Z", "2027-01-31"],
        extra_json_schema=time_schema(),
    ),
]
"""When something ends."""
StartTime = Annotated[
    str,
    Meta(
        description=f"a time: {describe_times('first')}",
        examples=["2027-01-31T00:00:00Z", "2027-01-31"],
        extra_json_schema=time_schema(),
    ),
]
"""A time after or before which something happened."""

Search = Annotated[
    str,
    Meta(
        description="a part of the name, the description or the owner, the whole id, or the last four characters of a "
        "secret, in any letter case and Unicode normal form; never a secret: see `POST /v1/tokens/find`",
        examples=["weekly"],
    ),
]
STATUSES = (
    "tokens with one of these statuses; `expiring`: active, expires within 7 days; `alive`: works or could work again, "
    "that is neither revoked nor expired"
)
Statuses = Annotated[list[StatusFilter], Meta(min_length=1, description=STATUSES)]

Name = Annotated[
    str,
    Meta(
        description=f"its purpose on one line, 1 to {MAX_NAME_LENGTH} characters, {STORED}", examples=["Weekly report"]
    ),
]
Description = Annotated[
    str,
    Meta(
        description=f"any other information, up to {MAX_DESCRIPTION_LENGTH} characters, {STORED}; every line break "
        "becomes LF"
    ),
]
Owner = Annotated[str, Meta(description="who is responsible for it: a person, a team or a job", examples=["ada"])]
Scopes = Annotated[
    list[str],
    Meta(
        description=f"1 to {MAX_SCOPES} scopes, each polls:ACTIONS:SELECTOR; the actions are read, create, update, "
        "delete, vote, results or *; a selector is *, PLAT, PLAT/PLAT-1 or SPACE/12345/macro-7. They are stored in "
        "canonical form: the actions in that order, no scope twice, only the necessary characters percent-encoded. "
        "Only * includes actions of later releases; a list of all six does not",
        examples=[["polls:read,create:PLAT"]],
    ),
]
SiteId = Annotated[
    str, Meta(description="the id of a site; the default site if left out", examples=["site_3JDxtsz4ic3g56zQ"])
]
Networks = Annotated[
    list[str],
    Meta(
        description=f"up to {MAX_NETWORKS} addresses and networks from which the token works; empty for any address. "
        "They are stored in canonical form: an address as a network of one, 10.0.0.1/32",
        examples=[["203.0.113.7", "10.0.0.0/8"]],
    ),
]
RateLimit = Annotated[int, Meta(description=f"requests per minute, 1 to {MAX_RATE}; null for no limit", examples=[600])]
AllowQuery = Annotated[bool, Meta(description="whether it may be sent in the query; if false, only in the header")]
SelfRotation = Annotated[
    bool, Meta(description="whether the holder may swap the secret itself, with POST /v1/token/rotate")
]
Metadata = Annotated[
    dict[str, Any],
    Meta(
        description=f"a JSON object of up to {MAX_METADATA_BYTES} bytes, sent to services with each introspection",
        examples=[{"team": "payments"}],
    ),
]
ExpiresIn = (
    Annotated[int, Meta(description="seconds from now", examples=[2_592_000])]
    | Annotated[
        str,
        Meta(
            description="a duration from now, such as `90d`, `12h`, `2h30m` or, as in ISO 8601, `P90D`; or `never`. "
            "The units are `w`, `d`, `h`, `m` and `s`; a day has 24 hours",
            examples=["90d", "2h30m", "P90D", "never"],
            extra_json_schema={"pattern": f"{DURATION_PATTERN}|^{NEVER}$"},
        ),
    ]
)
OverlapS = Annotated[
    int,
    Meta(
        description=f"for how many seconds, 0 to {MAX_OVERLAP_S}, the older secrets continue to work; with 0 they end "
        "immediately"
    ),
]
