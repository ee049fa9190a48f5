"""Every settings page of the token authority, with its access rule."""

from typing import Final

from services.token_authority.pages import paths, sign_in, token_list
from services.token_authority.pages.access import READERS, VISITORS
from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.routes import Route

PAGE_ROUTES: Final = (
    Route("GET", "/", Endpoint(sign_in.show_start), VISITORS),
    Route("GET", paths.SETTINGS_ROOT, Endpoint(sign_in.show_start), VISITORS),
    Route("GET", f"{paths.SETTINGS_ROOT}/", Endpoint(sign_in.show_start), VISITORS),
    Route("GET", paths.SIGN_IN, Endpoint(sign_in.show_sign_in), VISITORS),
    Route("POST", paths.SIGN_IN, Endpoint(sign_in.sign_in), VISITORS),
    Route("GET", paths.SIGN_IN_LINK, Endpoint(sign_in.sign_in_by_link), VISITORS),
    Route("POST", paths.SIGN_OUT, Endpoint(sign_in.sign_out), READERS),
    Route("GET", paths.TOKENS, Endpoint(token_list.show_tokens), READERS),
    Route("POST", f"{paths.TOKENS}/search", Endpoint(token_list.search_tokens), READERS),
)
"""None of these is in the OpenAPI document, because their endpoints have no operation."""
