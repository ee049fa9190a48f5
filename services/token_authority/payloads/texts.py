"""Fields that several payloads have, with what a reader of the API's document has to know of them."""

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta

from services.token_authority.domain.secret import MAX_OVERLAP_S
from services.token_authority.domain.token_fields import (
    MAX_DESCRIPTION_LENGTH,
    MAX_METADATA_BYTES,
    MAX_NAME_LENGTH,
    MAX_NETWORKS,
    MAX_RATE,
    MAX_SCOPES,
)

Time = Annotated[datetime, Meta(tz=True, examples=["2027-01-31T00:00:00Z"])]

Name = Annotated[
    str, Meta(description=f"what it is for, 1 to {MAX_NAME_LENGTH} characters", examples=["Weekly report"])
]
Description = Annotated[str, Meta(description=f"what else there is to say, up to {MAX_DESCRIPTION_LENGTH} characters")]
Owner = Annotated[str, Meta(description="who answers for it: a person, a team or a job", examples=["ada"])]
Scopes = Annotated[
    list[str],
    Meta(
        description=f"1 to {MAX_SCOPES} of polls:ACTIONS:SELECTOR; actions are read, create, update, delete, vote, "
        "results or *; a selector is *, PLAT, PLAT/PLAT-1 or SPACE/12345/macro-7",
        examples=[["polls:read,create:PLAT"]],
    ),
]
SiteId = Annotated[
    str, Meta(description="a site's id; without it the default site", examples=["site_3JDxtsz4ic3g56zQ"])
]
Networks = Annotated[
    list[str],
    Meta(
        description=f"up to {MAX_NETWORKS} addresses and networks from which alone it works; empty for everywhere",
        examples=[["203.0.113.7", "10.0.0.0/8"]],
    ),
]
RateLimit = Annotated[int, Meta(description=f"requests a minute, 1 to {MAX_RATE}; null for no limit", examples=[600])]
AllowQuery = Annotated[bool, Meta(description="whether it may be sent in the query; else in the header alone")]
Metadata = Annotated[
    dict[str, Any],
    Meta(
        description=f"a JSON object of your own, up to {MAX_METADATA_BYTES} bytes, which services are told",
        examples=[{"team": "payments"}],
    ),
]
ExpiresIn = Annotated[int, Meta(description="seconds from now, or one of the usual times", examples=[2_592_000])]
OverlapS = Annotated[
    int,
    Meta(
        description=f"for how many seconds, 0 to {MAX_OVERLAP_S}, the secrets before this one go on working; "
        "0 ends them at once"
    ),
]
