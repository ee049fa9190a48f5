"""Every settings page of the token authority, with its access rule."""

from functools import partial
from typing import Final

from services.token_authority.handlers import audit
from services.token_authority.pages import (
    administrator_actions,
    administrator_form,
    administrators,
    audit_log,
    audit_record,
    paths,
    review,
    service,
    service_form,
    service_list,
    sign_in,
    sign_in_provider,
    site_list,
    token_create,
    token_detail,
    token_edit,
    token_end,
    token_list,
    token_rotate,
    token_selection,
)
from services.token_authority.pages.access import ADMINS, AUDITORS, ISSUERS, READERS, VISITORS
from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.routes import Excess, Route

_Open: Final = partial(Route, access=VISITORS, excess=Excess.WAIT)
_TOKEN: Final = f"{paths.TOKENS}/{{id}}"

PAGE_ROUTES: Final = (
    _Open("GET", "/", Endpoint(sign_in.show_start)),
    _Open("GET", paths.SETTINGS_ROOT, Endpoint(sign_in.show_start)),
    _Open("GET", f"{paths.SETTINGS_ROOT}/", Endpoint(sign_in.show_start)),
    _Open("GET", paths.SIGN_IN, Endpoint(sign_in.show_sign_in)),
    _Open("POST", paths.SIGN_IN, Endpoint(sign_in.sign_in)),
    _Open("GET", paths.SIGN_IN_LINK, Endpoint(sign_in.sign_in_by_link)),
    _Open(
        "GET",
        paths.SIGN_IN_PROVIDER,
        Endpoint(sign_in_provider.start_at_provider),
        time_limit_s=sign_in_provider.START_LIMIT_S,
    ),
    _Open(
        "GET",
        paths.SIGN_IN_CALLBACK,
        Endpoint(sign_in_provider.finish_at_provider),
        time_limit_s=sign_in_provider.CALLBACK_LIMIT_S,
    ),
    Route("POST", paths.SIGN_OUT, Endpoint(sign_in.sign_out), READERS),
    Route("GET", paths.TOKENS, Endpoint(token_list.show_tokens), READERS),
    Route("POST", f"{paths.TOKENS}/search", Endpoint(token_list.search_tokens), READERS),
    Route("GET", f"{paths.TOKENS}/new", Endpoint(token_create.show_form), ISSUERS),
    Route("POST", f"{paths.TOKENS}/new", Endpoint(token_create.create_token), ISSUERS),
    Route("POST", f"{paths.TOKENS}/scopes", Endpoint(token_create.preview_scopes), ISSUERS),
    Route("POST", f"{paths.TOKENS}/selected", Endpoint(token_selection.ask_about_selection), ISSUERS),
    Route("POST", f"{paths.TOKENS}/selected/revoke", Endpoint(token_selection.revoke_selected), ISSUERS),
    Route("POST", f"{paths.TOKENS}/selected/disable", Endpoint(token_selection.disable_selected), ISSUERS),
    Route("GET", _TOKEN, Endpoint(token_detail.show_token), READERS),
    Route("GET", f"{_TOKEN}/edit", Endpoint(token_edit.show_form), ISSUERS),
    Route("POST", f"{_TOKEN}/edit", Endpoint(token_edit.change_token), ISSUERS),
    Route("GET", f"{_TOKEN}/rotate", Endpoint(token_rotate.show_form), ISSUERS),
    Route("POST", f"{_TOKEN}/rotate", Endpoint(token_rotate.rotate_token), ISSUERS),
    Route("GET", f"{_TOKEN}/disable", Endpoint(token_end.show_disable), ISSUERS),
    Route("POST", f"{_TOKEN}/disable", Endpoint(token_end.disable_token), ISSUERS),
    Route("POST", f"{_TOKEN}/enable", Endpoint(token_end.enable_token), ISSUERS),
    Route("GET", f"{_TOKEN}/revoke", Endpoint(token_end.show_revoke), ISSUERS),
    Route("POST", f"{_TOKEN}/revoke", Endpoint(token_end.revoke_token), ISSUERS),
    Route("GET", paths.REVIEW, Endpoint(review.show_review), READERS),
    Route("POST", f"{paths.REVIEW}/keep", Endpoint(review.keep), ISSUERS),
    Route("POST", f"{paths.REVIEW}/complete", Endpoint(review.complete), ISSUERS),
    # Services, administrators, sites and the audit log
    Route("GET", paths.SERVICES, Endpoint(service_list.show_services), AUDITORS),
    Route("GET", paths.NEW_SERVICE, Endpoint(service_form.show_new_service), ADMINS),
    Route("POST", paths.NEW_SERVICE, Endpoint(service_form.create_service), ADMINS),
    Route("GET", f"{paths.SERVICES}/{{client_id}}", Endpoint(service.show_service), AUDITORS),
    Route("GET", f"{paths.SERVICES}/{{client_id}}/edit", Endpoint(service_form.show_edit), ADMINS),
    Route("POST", f"{paths.SERVICES}/{{client_id}}/edit", Endpoint(service_form.edit_service), ADMINS),
    Route("GET", f"{paths.SERVICES}/{{client_id}}/rotate", Endpoint(service.show_rotate), ADMINS),
    Route("POST", f"{paths.SERVICES}/{{client_id}}/rotate", Endpoint(service.rotate_service), ADMINS),
    Route("GET", f"{paths.SERVICES}/{{client_id}}/disable", Endpoint(service.show_disable), ADMINS),
    Route("POST", f"{paths.SERVICES}/{{client_id}}/disable", Endpoint(service.disable_service), ADMINS),
    Route("POST", f"{paths.SERVICES}/{{client_id}}/enable", Endpoint(service.enable_service), ADMINS),
    Route("GET", paths.ADMINISTRATORS, Endpoint(administrators.show_administrators), AUDITORS),
    Route("GET", paths.NEW_ADMINISTRATOR, Endpoint(administrator_form.show_new_administrator), ADMINS),
    Route("POST", paths.NEW_ADMINISTRATOR, Endpoint(administrator_form.create_administrator), ADMINS),
    Route("GET", f"{paths.ADMINISTRATORS}/{{key_id}}", Endpoint(administrators.show_administrator), AUDITORS),
    Route("GET", f"{paths.ADMINISTRATORS}/{{key_id}}/edit", Endpoint(administrator_form.show_edit), ADMINS),
    Route("POST", f"{paths.ADMINISTRATORS}/{{key_id}}/edit", Endpoint(administrator_form.edit_administrator), ADMINS),
    Route("GET", f"{paths.ADMINISTRATORS}/{{key_id}}/rotate", Endpoint(administrator_actions.show_rotate), ADMINS),
    Route(
        "POST",
        f"{paths.ADMINISTRATORS}/{{key_id}}/rotate",
        Endpoint(administrator_actions.rotate_administrator),
        ADMINS,
    ),
    Route("GET", f"{paths.ADMINISTRATORS}/{{key_id}}/revoke", Endpoint(administrator_actions.show_revoke), ADMINS),
    Route(
        "POST",
        f"{paths.ADMINISTRATORS}/{{key_id}}/revoke",
        Endpoint(administrator_actions.revoke_administrator),
        ADMINS,
    ),
    Route("GET", paths.SITES, Endpoint(site_list.show_sites), READERS),
    Route("GET", paths.AUDIT, Endpoint(audit_log.show_audit), AUDITORS),
    Route("POST", f"{paths.AUDIT}/verify", Endpoint(audit_log.verify_audit), AUDITORS),
    Route("POST", f"{paths.AUDIT}/search", Endpoint(audit_log.search_audit), AUDITORS),
    Route("GET", f"{paths.AUDIT}/export", Endpoint(audit.export_audit.handler), AUDITORS),
    Route("GET", f"{paths.AUDIT}/{{seq}}", Endpoint(audit_record.show_record), AUDITORS),
)
"""None of these is in the OpenAPI document, because their endpoints have no operation."""
