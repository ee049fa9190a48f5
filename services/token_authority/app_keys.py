"""Typed keys of the objects that handlers read from the application and the request."""

from typing import Final

from aiohttp import web

from services.token_authority.domain.admin_key import AdminKey
from services.token_authority.domain.service import Service
from services.token_authority.domain.session import Session
from services.token_authority.metrics import AuthorityMetrics
from services.token_authority.operations.attempts import Attempts
from services.token_authority.operations.audit_chain import ChainVerifier
from services.token_authority.operations.credentials import Credentials
from services.token_authority.operations.identity_provider import IdentityProvider
from services.token_authority.operations.introspection import Introspector
from services.token_authority.operations.revocation import Revoker
from services.token_authority.operations.sessions import Sessions
from services.token_authority.operations.token_changes import TokenChanges
from services.token_authority.settings import TokenAuthoritySettings
from services.token_authority.tasks.confirmations import Confirmations
from services.token_authority.tasks.journal import Journal
from services.token_authority.tasks.relay import ChangeRelay
from services.token_authority.tasks.restoration import RestorationWatch
from services.token_authority.tasks.signing import Signer
from services.token_authority.tasks.sync import Syncs
from shared.runtime.pages.cookies import SecretCookie
from shared.runtime.pages.forms import Form
from shared.runtime.pages.templates import Templates
from shared.runtime.postgres.database import Database
from shared.runtime.redis.client import RedisClient

SETTINGS: Final = web.AppKey("settings", TokenAuthoritySettings)
DATABASE: Final = web.AppKey("database", Database)
ATTEMPTS: Final = web.AppKey("attempts", Attempts)
CREDENTIALS: Final = web.AppKey("credentials", Credentials)
REDIS: Final = web.AppKey("redis", RedisClient)
RELAY: Final = web.AppKey("relay", ChangeRelay)
RESTORATION: Final = web.AppKey("restoration", RestorationWatch)
REVOKER: Final = web.AppKey("revoker", Revoker)
CHANGES: Final = web.AppKey("changes", TokenChanges)
INTROSPECTOR: Final = web.AppKey("introspector", Introspector)
JOURNAL: Final = web.AppKey("journal", Journal)
"""There is none unless `JOURNAL_FILE` is set."""
METRICS_OF_AUTHORITY: Final = web.AppKey("metrics_of_authority", AuthorityMetrics)
SYNCS: Final = web.AppKey("syncs", Syncs)
SIGNER: Final = web.AppKey("signer", Signer)
CONFIRMATIONS: Final = web.AppKey("confirmations", Confirmations)
CHAIN_VERIFIER: Final = web.AppKey("chain_verifier", ChainVerifier)
SESSIONS: Final = web.AppKey("sessions", Sessions)
TEMPLATES: Final = web.AppKey("templates", Templates)
IDENTITY_PROVIDER: Final = web.AppKey("identity_provider", IdentityProvider)
"""There is none unless `OIDC_ISSUER` is set."""
SIGN_IN_COOKIE: Final = web.AppKey("sign_in_cookie", SecretCookie)
SESSION_COOKIE: Final = web.AppKey("session_cookie", SecretCookie)

ADMIN_KEY: Final = web.RequestKey("admin_key", AdminKey)
"""The admin key that authenticated the request, on routes for administrators."""

SESSION: Final = web.RequestKey("session", Session)
"""The session of a request for a page."""

SESSION_SECRET: Final = web.RequestKey("session_secret", str)
"""The secret of that session."""

FORM: Final = web.RequestKey("form", Form)
"""The form that a page has sent."""

SERVICE: Final = web.RequestKey("service", Service)
"""The service that sent the request, on routes for services."""
