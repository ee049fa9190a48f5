"""Services that introspect: as they are asked for and shown."""

from datetime import datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.secret import MintedSecret, Secret
from services.token_authority.domain.service import Service, checked_sites, new_service
from services.token_authority.domain.token_fields import checked_text
from services.token_authority.operations.public_key import checked_public_key
from services.token_authority.payloads.tokens import SecretPayload

ClientId = Annotated[str, Meta(description="1 to 64 of A-Z a-z 0-9 . _ -", examples=["reports"])]
ServiceSites = Annotated[
    list[str], Meta(description="ids of the sites whose tokens exist for it; null for all", examples=[None])
]
PublicKey = Annotated[
    str,
    Meta(
        description="PEM of an Ed25519, P-256 or RSA key (2048 to 4096 bits): the service shows who it is by JWTs that "
        "it signs with the private one (`private_key_jwt`, RFC 7523)"
    ),
]


class MakeService(Struct, frozen=True, forbid_unknown_fields=True):
    """A service to be made: with a secret for HTTP Basic, or with its public key for `private_key_jwt`."""

    client_id: ClientId
    name: str = ""
    sites: ServiceSites | None = None
    public_key: PublicKey | None = None

    def to_service(self, by: Actor, now: datetime) -> Service:
        """What the domain makes of it."""
        key = None if self.public_key is None else checked_public_key(self.public_key)
        return new_service(self.client_id, self.name, self.sites, key, created_by=str(by), now=now)


class ChangeService(Struct, frozen=True, forbid_unknown_fields=True):
    """New values for some fields of a service; the others stay (RFC 7396)."""

    name: str | UnsetType = UNSET
    sites: ServiceSites | UnsetType | None = UNSET
    public_key: PublicKey | UnsetType | None = UNSET

    def to_values(self) -> dict[str, Any]:
        """The fields that are given, as the domain has them."""
        values: dict[str, Any] = {}
        if self.name is not UNSET:
            values["name"] = checked_text("name", self.name) if self.name else ""
        if self.sites is not UNSET:
            values["sites"] = checked_sites(self.sites)
        if self.public_key is not UNSET:
            values["public_key"] = None if self.public_key is None else checked_public_key(self.public_key)
        return values


class ServicePayload(Struct, frozen=True, kw_only=True):
    """A service as it is shown at any time."""

    client_id: str
    name: str
    sites: list[str] | None
    public_key: str | None
    created_at: datetime
    created_by: str
    disabled_at: datetime | None
    disabled_by: str | None

    @classmethod
    def of(cls, service: Service) -> "ServicePayload":
        """How `service` is shown."""
        return cls(**_shown(service))


class MadeServicePayload(ServicePayload, frozen=True, kw_only=True):
    """A service with its new secret, shown this once; null for one that has a public key."""

    secret: str | None

    @classmethod
    def of_made(cls, service: Service, minted: MintedSecret | None) -> "MadeServicePayload":
        """How a service is shown that has a new secret."""
        return cls(**_shown(service), secret=minted.text if minted else None)


class ServiceDetailPayload(ServicePayload, frozen=True, kw_only=True):
    """A service with its secrets, the newest first."""

    secrets: list[SecretPayload]

    @classmethod
    def of_detail(cls, service: Service, secrets: list[Secret], now: datetime) -> "ServiceDetailPayload":
        """How a service is shown alone."""
        return cls(
            **_shown(service),
            secrets=[SecretPayload.of(secret, now, alive=service.disabled_at is None) for secret in secrets],
        )


class ServicePage(Struct, frozen=True):
    """Every service by client id."""

    items: list[ServicePayload]


def _shown(service: Service) -> dict[str, Any]:
    same = {name: getattr(service, name) for name in ServicePayload.__struct_fields__}
    return {**same, "sites": None if service.sites is None else list(service.sites)}
