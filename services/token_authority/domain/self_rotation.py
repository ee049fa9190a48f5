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
"""Secrets that a token gets within a day, by its holder or an administrator, before its holder has to wait.

Repeated requests under an `Idempotency-Key` count, because each leaves a record in the audit log.
"""
ACTIONS_WITH_SECRET: Final = ("token.issue", "token.rotate", "token.replace_secret")
"""The actions in the audit log by which a token gets a secret."""

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

    Two secrets of the token work at the same time at most. Raise `SecretReplaced` or `TooManySecrets`.
    """
    if secret.ends_at is not None:
        raise SecretReplaced
    if not rotation.ends_old_secrets and any(each.works(now) for each in all_secrets if each.id != secret.id):
        raise TooManySecrets("An earlier secret of this token still works")


def require_secret_left(limit_at: datetime | None, now: datetime) -> None:
    """Raise `TooManyAttempts` if the token got as many secrets within a day as it may.

    `limit_at` is when it got the secret that is `MAX_SECRETS_PER_DAY` from the latest, if there is one.
    """
    if limit_at is not None and limit_at > now - _DAY:
        wait = limit_at + _DAY - now
        detail = f"This token got {MAX_SECRETS_PER_DAY} secrets within a day"
        raise TooManyAttempts(detail, max(1, int(wait.total_seconds()) + 1))
