"""Voting links, as they are created, listed and revoked."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from services.polls.domain.errors import InvalidLink, Violation
from services.polls.domain.link import (
    DEFAULT_MAX_PER_ADDRESS,
    MAX_LABEL_LENGTH,
    MAX_LINKS_PER_BATCH,
    MAX_PARTICIPANTS,
    Invitation,
    Link,
    LinkFilter,
    LinkKind,
    LinkStatus,
    Sharing,
    new_invitations,
    new_sharing,
)
from services.polls.payloads.fields import (
    LINK_ID,
    NAME_DESCRIPTION,
    PARTICIPANT_DESCRIPTION,
    LinkId,
    Participant,
    ParticipantName,
    Time,
)
from services.polls.payloads.parameters import DEFAULT_LIMIT, Cursor, Limit
from shared.runtime.text.characters import STORED
from shared.runtime.text.times import InvalidTime, describe_times, read_time, time_schema

_EXPIRY_DESCRIPTION: Final = f"when the link ends, besides with its poll: {describe_times('last')}"
ExpiresAt = Annotated[
    str,
    Meta(
        description=_EXPIRY_DESCRIPTION,
        examples=["2026-12-24T18:00:00Z"],
        extra_json_schema=time_schema(),
    ),
]
Label = Annotated[
    str,
    Meta(
        description=f"for a shared link: where it is published, 1 to {MAX_LABEL_LENGTH} characters, {STORED}",
        examples=["Team page"],
        extra_json_schema={"minLength": 1, "maxLength": MAX_LABEL_LENGTH},
    ),
]
_LIMIT: Final = {"minimum": 1, "maximum": MAX_PARTICIPANTS}
MaxParticipants = Annotated[
    int,
    Meta(
        description="for a shared link: how many participants can vote by it; null, or leaving it out, is no limit",
        extra_json_schema=_LIMIT,
    ),
]
MaxPerAddress = Annotated[
    int,
    Meta(
        description="for a shared link: how many of them from one address, an IPv4 address or an IPv6 /64; null is no "
        f"limit, and leaving it out means {DEFAULT_MAX_PER_ADDRESS}. A company or a mobile network may have one "
        "address for everyone",
        extra_json_schema=_LIMIT,
    ),
]
Kind = Annotated[
    LinkKind,
    Meta(
        description="`personal`: for one participant, who has one ballot; `shared`: for everyone who gets to know it, "
        "where each browser is a participant"
    ),
]


class CreateLink(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A new voting link: a personal one with its `participant`, or a shared one with its limits."""

    kind: Kind
    participant: (
        Annotated[Participant, Meta(description=f"for a personal link, which needs it: {PARTICIPANT_DESCRIPTION}")]
        | None
    ) = None
    name: Annotated[ParticipantName, Meta(description=f"for a personal link: {NAME_DESCRIPTION}")] | None = None
    label: Label | None = None
    max_participants: MaxParticipants | None = None
    max_per_address: MaxPerAddress | UnsetType | None = UNSET
    expires_at: Annotated[ExpiresAt, Meta(description=f"for both kinds: {_EXPIRY_DESCRIPTION}")] | None = None

    def to_sharing(self) -> Sharing | None:
        """Return the limits of a shared link, `None` for a personal one. Raise `InvalidLink`."""
        if self.kind == "personal":
            return None
        _refuse(self, "a shared link is for everyone; leave this out, or set kind to personal", "participant", "name")
        per_address = DEFAULT_MAX_PER_ADDRESS if self.max_per_address is UNSET else self.max_per_address
        return new_sharing(Sharing(self.label, self.max_participants, per_address))

    def to_invitation(self) -> Invitation:
        """Return the participant of a personal link. Raise `InvalidLink`."""
        reason = "a personal link is for one participant; leave this out, or set kind to shared"
        _refuse(self, reason, "label", "maxParticipants", "maxPerAddress")
        if self.participant is None:
            raise InvalidLink([Violation(("participant",), "a personal link needs its participant")])
        try:
            (invitation,) = new_invitations([Invitation(self.participant, self.name)])
        except InvalidLink as error:
            raise InvalidLink([each._replace(path=each.path[2:]) for each in error.violations]) from None
        return invitation


class InvitationPayload(Struct, frozen=True, forbid_unknown_fields=True):
    """A participant who gets a personal link."""

    participant: Participant
    name: ParticipantName | None = None


class CreateLinks(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """New personal links, one for each participant."""

    participants: Annotated[
        list[InvitationPayload],
        Meta(
            description=f"1 to {MAX_LINKS_PER_BATCH:,} different participants",
            extra_json_schema={"minItems": 1, "maxItems": MAX_LINKS_PER_BATCH},
        ),
    ]
    expires_at: ExpiresAt | None = None

    def to_invitations(self) -> list[Invitation]:
        """Return the participants. Raise `InvalidLink`."""
        return new_invitations([Invitation(each.participant, each.name) for each in self.participants])


class LinkPayload(Struct, frozen=True, rename="camel"):
    """A voting link. Its address with the secret is only in the response that creates it, as `url`.

    `participant` and `name` of a personal link are null in a list, unless the poll keeps names. `participants` counts
    those who have voted by a shared link. It is null for a personal one, so that it does not say who has voted, and if
    the token may not see numbers of the results.
    """

    id: LinkId
    kind: Kind
    status: LinkStatus
    hint: Annotated[str, Meta(description="how the secret begins and ends", examples=["pgl_…w9Zq"])]
    participant: Participant | None
    name: ParticipantName | None
    label: Label | None
    max_participants: Annotated[int | None, Meta(examples=[None])]
    max_per_address: Annotated[int | None, Meta(examples=[DEFAULT_MAX_PER_ADDRESS])]
    participants: Annotated[int | None, Meta(examples=[0])]
    expires_at: Time | None
    created_at: Time
    created_by: Annotated[str, Meta(description="the id of the token", examples=["tok_3JDxtsz4ic3g56zQ"])]
    revoked_at: Time | None

    @classmethod
    def of(cls, link: Link, now: datetime) -> "LinkPayload":
        """Return the payload of a link at a time."""
        return cls(**_fields(link, now))


class NewLinkPayload(LinkPayload, frozen=True, rename="camel"):
    """A new voting link with its address, which is shown only now."""

    url: Annotated[
        str,
        Meta(description="the address to send; it contains the secret", examples=["https://polls.example.com/p/pgl_…"]),
    ]

    @classmethod
    def created(cls, link: Link, now: datetime, url: str, invitation: Invitation | None) -> "NewLinkPayload":
        """Return the payload of a new link, with its participant also where names are not kept."""
        fields = _fields(link, now)
        if invitation is not None:
            fields.update(participant=invitation.participant, name=invitation.name)
        return cls(**fields, url=url)


class NewLinks(Struct, frozen=True):
    """New voting links, in the order of the request."""

    items: list[NewLinkPayload]


class LinkPage(Struct, frozen=True):
    """A page of voting links, the oldest first. `next` is the `cursor` of the following page, null on the last one."""

    items: list[LinkPayload]
    next: str | None


class RevokedLinks(Struct, frozen=True):
    """How many links were active and are revoked now."""

    revoked: Annotated[int, Meta(ge=0, examples=[1])]


class LinkConditions(Struct, frozen=True, rename="camel"):
    """The links to revoke: those that meet all conditions."""

    kind: Annotated[LinkKind | None, Meta(description="links of this kind")] = None
    participant: Annotated[str | None, Meta(description="personal links of this participant")] = None
    created_by: Annotated[str | None, Meta(description="links that the token with this id has created")] = None


class ListLinks(LinkConditions, frozen=True, rename="camel"):
    """The conditions of a list of links; a link has to meet all of them."""

    status: Annotated[LinkStatus | None, Meta(description="links with this status", examples=["active"])] = None
    cursor: Cursor | None = None
    limit: Limit = DEFAULT_LIMIT


class CreateLinksQuery(Struct, frozen=True):
    """The format of the response."""

    format: Annotated[
        Literal["json", "csv"] | None, Meta(description="the format; by default as the header `Accept` says")
    ] = None
    bom: Annotated[bool, Meta(description="begin CSV with a byte order mark, by which Excel recognizes UTF-8")] = False


def read_expiry(text: str | None) -> datetime | None:
    """Return the time at which a link ends. Raise `InvalidLink`."""
    if text is None:
        return None
    try:
        return read_time(text, day="last")
    except InvalidTime as error:
        raise InvalidLink([Violation(("expiresAt",), f"{error}; or null for no end")]) from None


def filter_of(query: LinkConditions | ListLinks, participant: str | None) -> LinkFilter:
    """Return the conditions of a query. `participant` is the id in it as it is compared."""
    status = query.status if isinstance(query, ListLinks) else None
    return LinkFilter(query.kind, status, participant, query.created_by)


def _fields(link: Link, now: datetime) -> dict[str, Any]:
    return {
        "id": str(link.id),
        "kind": link.kind,
        "status": link.status_at(now),
        "hint": link.hint,
        "participant": link.participant,
        "name": link.name,
        "label": link.label,
        "max_participants": link.max_participants,
        "max_per_address": link.max_per_address,
        "participants": link.participants if link.kind == "shared" else None,
        "expires_at": link.expires_at,
        "created_at": link.created_at,
        "created_by": link.created_by,
        "revoked_at": link.revoked_at,
    }


def _refuse(link: CreateLink, reason: str, *fields: str) -> None:
    """Raise `InvalidLink` for fields that the kind of link does not have."""
    given = {
        "participant": link.participant,
        "name": link.name,
        "label": link.label,
        "maxParticipants": link.max_participants,
        "maxPerAddress": None if link.max_per_address is UNSET else link.max_per_address,
    }
    violations = [Violation((field,), reason) for field in fields if given[field] is not None]
    if violations:
        raise InvalidLink(violations)


CREATE_EXAMPLE: Final = {"kind": "shared", "label": "Team page"}
BATCH_EXAMPLE: Final = {"participants": [{"participant": "ada", "name": "Ada Lovelace"}], "expiresAt": "2036-12-24"}
_MADE_AT: Final = datetime.fromisoformat("2026-11-23T10:00:00Z")
_SHARED: Final = Link(
    UUID(LINK_ID),
    "shared",
    "pgl_…w9Zq",
    _MADE_AT,
    "tok_3JDxtsz4ic3g56zQ",
    label="Team page",
    max_per_address=DEFAULT_MAX_PER_ADDRESS,
)
_PERSONAL: Final = Link(
    _SHARED.id, "personal", _SHARED.hint, _MADE_AT, _SHARED.created_by, expires_at=read_expiry("2036-12-24")
)
_URL: Final = "https://polls.example.com/p/pgl_…"
EXAMPLE: Final = LinkPayload.of(_SHARED, _MADE_AT)
NEW_EXAMPLE: Final = NewLinkPayload.created(_SHARED, _MADE_AT, _URL, None)
NEW_LINKS_EXAMPLE: Final = NewLinks(
    [NewLinkPayload.created(_PERSONAL, _MADE_AT, _URL, Invitation("ada", "Ada Lovelace"))]
)
PAGE_EXAMPLE: Final = LinkPage([EXAMPLE], next=None)
REVOKED_EXAMPLE: Final = RevokedLinks(1)
