"""Make the secrets of new voting links, and what is stored of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID, uuid4

from services.polls.domain.link import Invitation, Link, Sharing
from services.polls.domain.participant import Participants
from services.polls.storage.links import NewLink
from shared.contract.token import VOTING_LINK, digest, hint, mint
from shared.runtime.crypto.encryption import Encryptor

_PURPOSE: Final = "voting link"


class Creation(NamedTuple):
    """Of which poll and when links are created, by which token, and when they end."""

    poll_id: UUID
    created_at: datetime
    created_by: str
    expires_at: datetime | None


class PersonalSecret(NamedTuple):
    """The secret of a new personal link, with what is stored of it besides the link."""

    invitation: Invitation
    secret: str
    new: NewLink


def shared_link(creation: Creation, sharing: Sharing, secret: str) -> NewLink:
    """Return a shared link to store."""
    link = Link(
        id=uuid4(),
        kind="shared",
        hint=hint(secret),
        created_at=creation.created_at,
        created_by=creation.created_by,
        expires_at=creation.expires_at,
        label=sharing.label,
        max_participants=sharing.max_participants,
        max_per_address=sharing.max_per_address,
    )
    return NewLink(link, digest(secret))


def personal_links(
    creation: Creation, invitations: Sequence[Invitation], participants: Participants
) -> list[PersonalSecret]:
    """Return personal links to store, without participants and names in clear. A thousand take 50 to 100 ms.

    Their ids ascend, so that they are listed in the order of the invitations.
    """
    ids = sorted(uuid4() for _ in invitations)
    return [_personal_link(creation, *each, participants) for each in zip(ids, invitations, strict=True)]


def encryptor_of(secret: str) -> Encryptor:
    """Return the encryptor of a link's participant: only who has the link can read it."""
    return Encryptor([secret.encode()], _PURPOSE)


def _personal_link(
    creation: Creation, link_id: UUID, invitation: Invitation, participants: Participants
) -> PersonalSecret:
    secret = mint(VOTING_LINK)
    link = Link(
        id=link_id,
        kind="personal",
        hint=hint(secret),
        created_at=creation.created_at,
        created_by=creation.created_by,
        expires_at=creation.expires_at,
    )
    encrypted = encryptor_of(secret).encrypt(invitation.participant.encode(), str(link.id))
    participant_hash = participants.link_hash(creation.poll_id, invitation.participant)
    return PersonalSecret(invitation, secret, NewLink(link, digest(secret), participant_hash, encrypted))
