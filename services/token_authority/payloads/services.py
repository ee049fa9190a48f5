"""Services in requests and responses."""

from datetime import datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from services.token_authority.domain.secret import MintedSecret, Secret
from services.token_authority.domain.service import RotatedService, Service, ServiceChange, ServiceRequest
from services.token_authority.payloads.tokens import SecretPayload

ClientId = Annotated[str, Meta(description="1 to 64 characters of A-Z a-z 0-9 . _ -", examples=["reports"])]
ServiceSites = Annotated[
    list[str], Meta(description="ids of the sites whose tokens it may introspect; null for all sites", examples=[None])
]
PublicKey = Annotated[
    str,
    Meta(
        description="PEM of an Ed25519, P-256 or RSA key (2048 to 4096 bits): the service authenticates with JWTs that "
        "it signs with the private key (`private_key_jwt`, RFC 7523)"
    ),
]


class CreateService(Struct, frozen=True, forbid_unknown_fields=True):
    """A new service, with a secret for HTTP Basic, or with a public key for `private_key_jwt`."""

    client_id: ClientId
    name: str = ""
    sites: ServiceSites | None = None
    public_key: PublicKey | None = None

    def to_request(self) -> ServiceRequest:
        """Return the fields, not validated yet."""
        return ServiceRequest(self.client_id, self.name, self.sites, self.public_key)


class ChangeService(Struct, frozen=True, forbid_unknown_fields=True):
    """A JSON merge patch for a service (RFC 7396)."""

    name: str | UnsetType = UNSET
    sites: ServiceSites | UnsetType | None = UNSET
    public_key: PublicKey | UnsetType | None = UNSET

    def to_change(self) -> ServiceChange:
        """Return the change, not validated yet."""
        return ServiceChange(name=self.name, sites=self.sites, public_key=self.public_key)


class ServicePayload(Struct, frozen=True, kw_only=True):
    """A service, without its secret."""

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
        """Return the payload of a service."""
        return cls(**_fields(service))


class NewServicePayload(ServicePayload, frozen=True, kw_only=True):
    """A service with its new secret, which is shown only once; null if it has a public key."""

    secret: str | None

    @classmethod
    def of_new(cls, service: Service, minted: MintedSecret | None) -> "NewServicePayload":
        """Return the payload of a service with a new secret."""
        return cls(**_fields(service), secret=minted.text if minted else None)


class RotatedServicePayload(ServicePayload, frozen=True, kw_only=True):
    """A service with its new secret, shown only once. `old_secrets_end_at`: when the last older one ends."""

    secret: str
    old_secrets_end_at: datetime | None

    @classmethod
    def of_rotated(cls, rotated: RotatedService) -> "RotatedServicePayload":
        """Return the payload of a rotated service."""
        return cls(
            **_fields(rotated.service),
            secret=rotated.minted.text,
            old_secrets_end_at=rotated.old_secrets_end_at,
        )


class ServiceDetailPayload(ServicePayload, frozen=True, kw_only=True):
    """A service with its secrets, newest first."""

    secrets: list[SecretPayload]

    @classmethod
    def of_detail(cls, service: Service, secrets: list[Secret], now: datetime) -> "ServiceDetailPayload":
        """Return the payload of a service with its secrets."""
        return cls(
            **_fields(service),
            secrets=[SecretPayload.of(secret, now, holder_works=service.disabled_at is None) for secret in secrets],
        )


class ServicePage(Struct, frozen=True):
    """Every service by client id."""

    items: list[ServicePayload]


def _fields(service: Service) -> dict[str, Any]:
    same = {name: getattr(service, name) for name in ServicePayload.__struct_fields__}
    return {**same, "sites": None if service.sites is None else list(service.sites)}
