"""Types of fields that several payloads share, with their descriptions for the OpenAPI document.

Limits are documented here and enforced by the domain, which reports all violations at once.
"""

from datetime import datetime
from typing import Annotated, Any, Final

from msgspec import Meta

from services.polls.domain.ballot import MAX_COMMENT_LENGTH
from services.polls.domain.participant import MAX_NAME_LENGTH, MAX_PARTICIPANT_LENGTH
from services.polls.domain.poll import MAX_DESCRIPTION_LENGTH, MAX_OPTIONS, MAX_ORDER, MAX_TITLE_LENGTH
from shared.runtime.text.characters import STORED
from shared.runtime.text.times import describe_times

MAX_SEGMENT_LENGTH: Final = 255


def _from_1_to(characters: int) -> Meta:
    return Meta(extra_json_schema={"minLength": 1, "maxLength": characters})


POLL_ID: Final = "ee9107b5-5041-4c15-8c76-f14404fa1fad"
LINK_ID: Final = "0b8f6a52-7f0e-4b7c-9d3b-1c2d3e4f5a6b"

Time = Annotated[datetime, Meta(tz=True, examples=["2026-11-23T10:00:00Z"])]
PollId = Annotated[str, Meta(description="the poll's id", examples=[POLL_ID])]
LinkId = Annotated[str, Meta(description="the id of the link, which is no secret", examples=[LINK_ID])]
Title = Annotated[
    str,
    _from_1_to(MAX_TITLE_LENGTH),
    Meta(
        description=f"the question on one line, 1 to {MAX_TITLE_LENGTH} characters, {STORED}",
        examples=["Which day suits you?"],
    ),
]
Description = Annotated[
    str,
    Meta(
        description=f"more about the question, up to {MAX_DESCRIPTION_LENGTH} characters, {STORED}; every line break "
        "becomes LF",
        extra_json_schema={"maxLength": MAX_DESCRIPTION_LENGTH},
    ),
]
OptionId = Annotated[
    str,
    _from_1_to(MAX_TITLE_LENGTH),
    Meta(description="an id of your choice, unique in the poll, 1 to 255 characters", examples=["mon"]),
]
OptionTitle = Annotated[
    str,
    _from_1_to(MAX_TITLE_LENGTH),
    Meta(
        description=f"1 to {MAX_TITLE_LENGTH} characters, {STORED}; no two titles of a poll may differ only in blanks "
        "around them or in invisible characters",
        examples=["Monday"],
    ),
]
Order = Annotated[
    int,
    Meta(
        description="the option's position, by which options are listed; by default its index in the list",
        extra_json_schema={"minimum": -MAX_ORDER, "maximum": MAX_ORDER},
    ),
]
OPTIONS: Final = Meta(
    description=f"1 to {MAX_OPTIONS} options", extra_json_schema={"minItems": 1, "maxItems": MAX_OPTIONS}
)
SEGMENT: Final = _from_1_to(MAX_SEGMENT_LENGTH)
EndDate = Annotated[
    str,
    Meta(
        description=f"when the poll ends: empty, or a time: {describe_times('last')}; stored as a date or date-time of "
        "RFC 3339",
        examples=["", "2026-12-24", "2026-12-24T18:00:00Z", "2026-12-24T18:00:00.0+0900"],
    ),
]
PARTICIPANT_DESCRIPTION: Final = (
    f"the id of the participant in the calling integration, 1 to {MAX_PARTICIPANT_LENGTH} characters, with no blank "
    "around it; ids that differ only in their Unicode normalization are the same, and are returned in NFC"
)
Participant = Annotated[
    str,
    _from_1_to(MAX_PARTICIPANT_LENGTH),
    Meta(description=PARTICIPANT_DESCRIPTION, examples=["ada"]),
]
OptionIds = Annotated[
    list[str],
    Meta(description="the ids of the chosen options", examples=[["mon"]], extra_json_schema={"minItems": 1}),
]
NAME_DESCRIPTION: Final = (
    f"the name of the participant, 1 to {MAX_NAME_LENGTH} characters; dropped if names are not kept"
)
ParticipantName = Annotated[
    str,
    _from_1_to(MAX_NAME_LENGTH),
    Meta(description=NAME_DESCRIPTION, examples=["Ada Lovelace"]),
]
Comment = Annotated[
    str,
    _from_1_to(MAX_COMMENT_LENGTH),
    Meta(description=f"1 to {MAX_COMMENT_LENGTH} characters, if the poll allows comments", examples=["After lunch"]),
]
ReadOnly = Annotated[Any, Meta(description="read-only; ignored", extra_json_schema={"readOnly": True})]
"""A field of responses that a request may repeat."""
