"""What handlers find in the application and in a request."""

from typing import Final

from aiohttp import web

from services.token_authority.domain.admin_key import AdminKey
from services.token_authority.domain.service import Service
from services.token_authority.operations.attempts import Attempts
from services.token_authority.operations.change import TokenChanges
from services.token_authority.operations.confirmations import Confirmations
from services.token_authority.operations.credentials import Credentials
from services.token_authority.operations.presented import PresentedTokens
from services.token_authority.operations.relay import ChangeRelay
from services.token_authority.operations.revoke import Revoker
from services.token_authority.operations.signing import Signer
from services.token_authority.operations.sync import Syncs
from services.token_authority.settings import TokenAuthoritySettings
from shared.runtime.postgres.database import Database

SETTINGS: Final = web.AppKey("settings", TokenAuthoritySettings)
DATABASE: Final = web.AppKey("database", Database)
ATTEMPTS: Final = web.AppKey("attempts", Attempts)
CREDENTIALS: Final = web.AppKey("credentials", Credentials)
RELAY: Final = web.AppKey("relay", ChangeRelay)
REVOKER: Final = web.AppKey("revoker", Revoker)
CHANGES: Final = web.AppKey("changes", TokenChanges)
PRESENTED: Final = web.AppKey("presented", PresentedTokens)
SYNCS: Final = web.AppKey("syncs", Syncs)
SIGNER: Final = web.AppKey("signer", Signer)
CONFIRMATIONS: Final = web.AppKey("confirmations", Confirmations)

ADMIN_KEY: Final = web.RequestKey("admin_key", AdminKey)
"""Who manages, on routes for administrators."""

SERVICE: Final = web.RequestKey("service", Service)
"""Which service asks, on routes for services."""
