"""Read the access tokens in a body, and refuse to revoke a value that contains a secret without being a token.

A value that has nothing to do with a secret is not refused: it is an unknown token (RFC 7009 §2.2, RFC 7662 §2.2).
"""

from collections.abc import Sequence
from itertools import islice

from services.token_authority.domain.errors import SecretRefused
from services.token_authority.payloads.introspection import PresentedToken
from shared.contract.presented_secret import contains_secret, describe_flaw, resembles_secret, trim_secret
from shared.contract.token import ACCESS_TOKEN, SECRET_PATTERN
from shared.runtime.http.problem import BadRequest, ErrorDetail, InvalidBody
from shared.runtime.http.validation_errors import MAX_ERRORS, pointer_to


def token_of(form: PresentedToken) -> str:
    """Return the token in a form, trimmed. Raise `BadRequest` if nothing is left of it."""
    token = trim_secret(form.token)
    if not token:
        detail = "expected a token, got whitespace only"
        raise BadRequest("Invalid form fields: 'token'.", ErrorDetail(detail, pointer=pointer_to(["token"])))
    return token


def token_to_revoke(form: PresentedToken) -> str:
    """Return the token in a form. Raise `SecretRefused` for a value that is almost one, `BadRequest` for none.

    The caller would take the response to an unknown token for a success, and the token would stay valid.
    """
    token = token_of(form)
    flaw = describe_flaw(token, ACCESS_TOKEN)
    if flaw is not None and resembles_secret(token):
        raise SecretRefused(f"Nothing was revoked. {flaw}")
    return token


def tokens_to_revoke(texts: Sequence[str]) -> list[str]:
    """Return each token once, trimmed. Raise `InvalidBody` for those with a secret in them that are no access token.

    A scanner may report texts that only look like tokens: without a valid checksum they are unknown, and not refused.
    """
    tokens = [trim_secret(text) for text in texts]
    flaws = (
        ErrorDetail(describe_flaw(token, ACCESS_TOKEN) or "", pointer=pointer_to(["tokens", str(place)]))
        for place, token in enumerate(tokens)
        if not _has_format_of_token(token) and contains_secret(token)
    )
    if errors := list(islice(flaws, MAX_ERRORS)):
        raise InvalidBody(*errors)
    return list(dict.fromkeys(tokens))


def _has_format_of_token(token: str) -> bool:
    """Return whether it has the format of an access token, whatever its checksum."""
    return token.startswith(ACCESS_TOKEN) and SECRET_PATTERN.fullmatch(token) is not None
