"""Rotation of a token by its holder: which secret may do it, from where, and how often."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Final

from services.token_authority.domain.errors import (
    Forbidden,
    SecretReplaced,
    SelfRotationForbidden,
    TooManyAttempts,
    TooManySecrets,
    Unauthenticated,
)
from services.token_authority.domain.secret import Rotation, Secret
from services.token_authority.domain.token import Token

MAX_HELD_OVERLAP_S: Final = 86_400
MAX_SECRETS_PER_DAY: Final = 24
"""Secrets that a token gets within a day, by its holder or an administrator, before its holder has to wait."""

Address = IPv4Address | IPv6Address

_DAY: Final = timedelta(days=1)


def require_self_rotation(token: Token, secret: Secret, address: Address | None, now: datetime) -> None:
    """Raise an error unless the holder of `secret` may rotate the token from this address.

    Raise `Unauthenticated`, `SelfRotationForbidden` or `Forbidden`.
    """
    status = token.status(now)
    if status != "active" or not secret.works(now):
        ended = status if status != "active" else "rotated"
        raise Unauthenticated(
            f"This access token does not work: it is {ended}. GET /v1/token says since when.", "Bearer"
        )
    if not token.self_rotation:
        raise SelfRotationForbidden
    networks = [ip_network(network) for network in token.allowed_ips]
    if networks and not (address is not None and any(address in network for network in networks)):
        raise Forbidden("This token does not work from this address; its `allowed_ips` name the networks.")


def require_room(secret: Secret, all_secrets: Sequence[Secret], rotation: Rotation, now: datetime) -> None:
    """Raise an error if the holder of `secret` has to wait before another rotation.

    Two secrets of the token work at the same time at most. Raise `SecretReplaced`, `TooManySecrets` or
    `TooManyAttempts`.
    """
    if secret.ends_at is not None:
        raise SecretReplaced
    if not rotation.ends_old_secrets and any(each.works(now) for each in all_secrets if each.id != secret.id):
        raise TooManySecrets("An earlier secret of this token still works")
    recent = sorted(each.created_at for each in all_secrets if each.created_at > now - _DAY)
    if len(recent) >= MAX_SECRETS_PER_DAY:
        wait = recent[-MAX_SECRETS_PER_DAY] + _DAY - now
        detail = f"This token got {MAX_SECRETS_PER_DAY} secrets within a day"
        raise TooManyAttempts(detail, max(1, int(wait.total_seconds()) + 1))
