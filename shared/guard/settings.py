"""What a guard has to be told, with the names of the variables that say it."""

import os
from typing import Annotated

from msgspec import Meta, Struct

from shared.runtime.client_address import ProxyHops
from shared.runtime.environment import read_settings


class GuardSettings(Struct, frozen=True, kw_only=True):
    """A service's own settings may extend this."""

    token_authority_url: Annotated[str, Meta(description="where tokens are introspected")]
    introspection_client_id: Annotated[str, Meta(description="as whom")]
    introspection_client_secret: Annotated[str, Meta(description="and with which secret")]
    redis_url: Annotated[str, Meta(description="Redis, as a user that may subscribe to changes and count requests")]
    resource_url: Annotated[str, Meta(description="URL of this service, as its callers know it")]
    trusted_proxy_hops: ProxyHops = 0


def guard_settings() -> GuardSettings:
    """The settings from the environment. Raises `SettingsError` that names the variable at fault."""
    return read_settings(GuardSettings, os.environ)
