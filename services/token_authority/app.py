"""Composition root of the token authority: creates the pool, the Redis client, the tasks and the application."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
from aiohttp import web

from services.token_authority.app_keys import (
    ATTEMPTS,
    CHAIN_VERIFIER,
    CHANGES,
    CONFIRMATIONS,
    CREDENTIALS,
    DATABASE,
    IDENTITY_PROVIDER,
    INTROSPECTOR,
    JOURNAL,
    METRICS_OF_AUTHORITY,
    REDIS,
    RELAY,
    RESTORATION,
    REVOKER,
    SESSION_COOKIE,
    SESSIONS,
    SETTINGS,
    SIGN_IN_COOKIE,
    SIGNER,
    SYNCS,
    TEMPLATES,
)
from services.token_authority.handlers.journaled_responses import JournaledResponses
from services.token_authority.metrics import AuthorityMetrics
from services.token_authority.operations.attempts import AttemptMetrics, Attempts, Limits
from services.token_authority.operations.audit_chain import ChainVerifier
from services.token_authority.operations.bootstrap import bootstrap
from services.token_authority.operations.credentials import Credentials
from services.token_authority.operations.identity_provider import IdentityProvider, ProviderConfig
from services.token_authority.operations.introspection import Introspector
from services.token_authority.operations.revocation import Revoker
from services.token_authority.operations.sessions import Sessions
from services.token_authority.operations.token_changes import TokenChanges
from services.token_authority.page_routes import PAGE_ROUTES
from services.token_authority.pages import paths
from services.token_authority.pages.errors import PageErrors
from services.token_authority.pages.setup import STATIC_FOLDER, TEMPLATE_FOLDER, TEMPLATE_FUNCTIONS
from services.token_authority.problems import PROBLEMS
from services.token_authority.routes import DOCUMENTATION, ROUTES
from services.token_authority.settings import TokenAuthoritySettings
from services.token_authority.storage.schema import SCHEMA
from services.token_authority.tasks.confirmations import Confirmations
from services.token_authority.tasks.ended_tokens import EndedTokens
from services.token_authority.tasks.journal import Journal
from services.token_authority.tasks.journal_file import JournalFile
from services.token_authority.tasks.old_sessions import OldSessions
from services.token_authority.tasks.receipts import Receipts
from services.token_authority.tasks.relay import ChangeRelay
from services.token_authority.tasks.restoration import RestorationWatch
from services.token_authority.tasks.retention import Retention
from services.token_authority.tasks.search_texts import SearchTexts
from services.token_authority.tasks.signing import PURPOSE, Signer
from services.token_authority.tasks.stored_figures import StoredFigures
from services.token_authority.tasks.sync import Syncs
from services.token_authority.tasks.unused_tokens import UnusedTokens
from shared.contract.redis_names import rate_limit_prefix
from shared.contract.token import SECRET_PATTERN, SECRET_START
from shared.runtime.crypto.encryption import Encryptor
from shared.runtime.docs import add_docs
from shared.runtime.http.application import ERROR_VIEW, create_application
from shared.runtime.http.cors import add_cors, read_origins
from shared.runtime.http.health import Check, add_health
from shared.runtime.http.metrics import METRICS, add_metrics
from shared.runtime.http.open_requests import OpenRequestLimit
from shared.runtime.http.routes import ROUTE_WRAPPER, add_routes
from shared.runtime.pages.cookies import SecretCookie, is_https
from shared.runtime.pages.static_files import SHARED_STATIC, StaticFiles
from shared.runtime.pages.templates import Templates
from shared.runtime.postgres.database import database, retry_until_available
from shared.runtime.postgres.migrations import require_migrated
from shared.runtime.process.clock import elapsed_s
from shared.runtime.process.metrics import Readings
from shared.runtime.process.redaction import redactor
from shared.runtime.process.supervise import supervise
from shared.runtime.redis.client import redis_client
from shared.runtime.redis.rate_limit import rate_limiter


def build_app(settings: TokenAuthoritySettings) -> web.Application:
    """Return the application, ready to be started."""
    open_requests = OpenRequestLimit(settings.open_requests_per_minute, settings.trusted_proxy_hops)
    app = create_application(PROBLEMS, redactor(SECRET_PATTERN, SECRET_START), open_requests=open_requests)
    add_cors(app, read_origins(settings.cors_origins))
    app[SETTINGS] = settings
    reported: dict[str, Check] = {"redis": lambda: app[RELAY].ping()}
    if settings.journal_file:
        app[ROUTE_WRAPPER] = JournaledResponses(app[ROUTE_WRAPPER])
        reported["journal"] = lambda: app[JOURNAL].check()
    add_routes(app, ROUTES)
    add_docs(app, DOCUMENTATION, settings.token_authority_issuer, has_start_page=True)
    _add_pages(app, settings)
    add_health(
        app,
        required={"postgres": lambda: app[DATABASE].ping(), "restoration": lambda: app[RESTORATION].check()},
        reported=reported,
        networks=settings.metrics_networks,
    )
    add_metrics(app, settings.metrics_networks)
    open_requests.register(app[METRICS])
    app[METRICS_OF_AUTHORITY] = AuthorityMetrics(app[METRICS])
    app.cleanup_ctx.append(_open_database)
    if settings.journal_file:
        app.cleanup_ctx.append(_keep_journal)
    app.cleanup_ctx.extend([_bootstrap, _open_redis, _follow_changes])
    if settings.oidc_issuer:
        app.cleanup_ctx.append(_open_provider)
    app.on_shutdown.append(_stop_waiting)
    return app


def _add_pages(app: web.Application, settings: TokenAuthoritySettings) -> None:
    static = StaticFiles(paths.STATIC, STATIC_FOLDER, SHARED_STATIC)
    app[TEMPLATES] = Templates(TEMPLATE_FOLDER, {"static": static.path, **TEMPLATE_FUNCTIONS})
    is_secure = is_https(settings.token_authority_issuer)
    app[SESSION_COOKIE] = SecretCookie("pollgate_session", is_secure)
    app[SIGN_IN_COOKIE] = SecretCookie("pollgate_sign_in", is_secure, same_site="Lax")  # the provider leads back
    app[ERROR_VIEW] = PageErrors(app[ERROR_VIEW])
    add_routes(app, [static.route, *PAGE_ROUTES])


async def _open_database(app: web.Application) -> AsyncGenerator[None, None]:
    settings = app[SETTINGS]
    async with database(
        settings.token_authority_database_url,
        size=settings.database_pool_size,
        statement_cache=settings.database_statement_cache,
        registry=app[METRICS],
    ) as opened:
        await retry_until_available(lambda: require_migrated(opened, SCHEMA))
        app[DATABASE] = opened
        app[CHAIN_VERIFIER] = ChainVerifier(opened)
        yield


async def _keep_journal(app: web.Application) -> AsyncGenerator[None, None]:
    settings = app[SETTINGS]
    file = JournalFile(Path(settings.journal_file), timedelta(days=settings.journal_days))
    journal = app[JOURNAL] = Journal(
        app[DATABASE],
        file,
        app[METRICS_OF_AUTHORITY],
        path=settings.journal_file,
        kept=timedelta(days=settings.journal_days),
    )
    await retry_until_available(journal.start)
    async with supervise(app, "journal", journal.run):
        yield


async def _bootstrap(app: web.Application) -> AsyncGenerator[None, None]:
    settings = app[SETTINGS]
    await retry_until_available(
        lambda: bootstrap(
            app[DATABASE],
            site_name=settings.first_site_name,
            admin_key_file=Path(settings.admin_key_file),
            service_credentials=settings.service_credentials,
            now=datetime.now(UTC),
        )
    )
    yield


async def _open_redis(app: web.Application) -> AsyncGenerator[None, None]:
    settings = app[SETTINGS]
    keys = f"{rate_limit_prefix('authority')}:{settings.rate_limit_namespace}"
    async with redis_client(settings.redis_url) as redis:
        app[REDIS] = redis
        limiter = rate_limiter(redis, keys, app[METRICS])
        attempts = Attempts(limiter, _limits(settings), AttemptMetrics(app[METRICS]), clock=elapsed_s)
        app[ATTEMPTS] = attempts
        credentials = app[CREDENTIALS] = Credentials(app[DATABASE], attempts, settings.token_authority_issuer)
        rights = {entry.group: entry.rights for entry in settings.group_rights}
        app[SESSIONS] = Sessions(app[DATABASE], credentials, settings.session_limits, rights, settings.oidc_issuer)
        yield


async def _follow_changes(app: web.Application) -> AsyncGenerator[None, None]:
    settings, opened = app[SETTINGS], app[DATABASE]
    metrics = app[METRICS_OF_AUTHORITY]
    signer = app[SIGNER] = Signer(opened, Encryptor(settings.encryption_secrets, PURPOSE), clock=elapsed_s)
    await retry_until_available(signer.load)
    Readings(app[METRICS]).show(
        "pollgate_signing_key_age_seconds",
        "Time since the oldest published signing key began to sign; it is replaced after 30 days, and withdrawn later",
        lambda: signer.oldest_key_age.total_seconds(),
        "livemax",
    )
    receipts = Receipts(settings.encryption_secrets)
    watch = app[RESTORATION] = RestorationWatch(opened, receipts, metrics, clock=elapsed_s)
    confirmations = app[CONFIRMATIONS] = Confirmations(opened, watch, metrics, clock=elapsed_s)
    async with AsyncExitStack() as stack:
        relay = app[RELAY] = ChangeRelay(
            opened, app[REDIS], signer, receipts, watch, metrics, issuer=settings.token_authority_issuer
        )
        app[REVOKER] = Revoker(opened, relay, watch, clock=elapsed_s)
        app[CHANGES] = TokenChanges(opened, relay, watch, clock=elapsed_s)
        app[INTROSPECTOR] = Introspector(opened, relay, watch)
        syncs = app[SYNCS] = Syncs(
            opened,
            confirmations,
            receipts,
            watch,
            lease_ms=settings.lease_ms,
            issuer=settings.token_authority_issuer,
            store_origin=settings.store_token_origin,
        )
        for name, run in {
            "signing keys": signer.run,
            "change relay": relay.run,
            "restoration": watch.run,
            "confirmations": confirmations.run,
            "syncs": syncs.run,
            "retention": Retention(opened).run,
            "ended tokens": EndedTokens(opened, metrics, days=settings.ended_token_retention_days).run,
            "search texts": SearchTexts(opened).run,
            "old sessions": OldSessions(opened, settings.session_limits).run,
            "stored figures": StoredFigures(opened, metrics).run,
            "unused tokens": UnusedTokens(opened, relay, days=settings.disable_unused_after_days).run,
        }.items():
            await stack.enter_async_context(supervise(app, name, run))
        yield


async def _open_provider(app: web.Application) -> AsyncGenerator[None, None]:
    settings = app[SETTINGS]
    config = ProviderConfig(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=settings.oidc_client_secret,
        scopes=settings.oidc_scopes,
        groups_claim=settings.oidc_groups_claim,
        redirect_uri=settings.token_authority_issuer.rstrip("/") + paths.SIGN_IN_CALLBACK,
    )
    async with aiohttp.ClientSession() as http:
        app[IDENTITY_PROVIDER] = IdentityProvider(http, config, clock=elapsed_s)
        yield


def _limits(settings: TokenAuthoritySettings) -> Limits:
    return Limits(
        wrong_per_address=settings.wrong_credentials_per_minute,
        wrong_per_client=settings.wrong_credentials_per_minute_per_service,
        open_tokens=settings.open_tokens_per_minute,
    )


async def _stop_waiting(app: web.Application) -> None:
    app[CONFIRMATIONS].stop_waiting()
