"""What handlers find in the application and in a request."""

from typing import Final

from aiohttp import web

from services.token_authority.operations.confirmations import Confirmations
from services.token_authority.operations.relay import ChangeRelay
from services.token_authority.operations.revoke import Revoker
from services.token_authority.operations.sync import Syncs
from services.token_authority.settings import TokenAuthoritySettings
from shared.runtime.postgres import Database

SETTINGS: Final = web.AppKey("settings", TokenAuthoritySettings)
DATABASE: Final = web.AppKey("database", Database)
RELAY: Final = web.AppKey("relay", ChangeRelay)
REVOKER: Final = web.AppKey("revoker", Revoker)
SYNCS: Final = web.AppKey("syncs", Syncs)
CONFIRMATIONS: Final = web.AppKey("confirmations", Confirmations)

ADMIN_KEY_ID: Final = web.RequestKey("admin_key_id", str)
"""Who manages, on routes for administrators."""

CLIENT_ID: Final = web.RequestKey("client_id", str)
"""Which service asks, on routes for services."""
