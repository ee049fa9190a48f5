"""Report query parameters that break a rule of the domain."""

from collections.abc import Generator
from contextlib import contextmanager

from services.token_authority.domain.errors import InvalidValue
from shared.runtime.http.problem import BadRequest, ErrorDetail


@contextmanager
def invalid_parameters() -> Generator[None, None, None]:
    """Raise `BadRequest`, which names the parameter, for an `InvalidValue` in the block."""
    try:
        yield
    except InvalidValue as error:
        name = {"statuses": "status"}.get(str(error.path[0]), str(error.path[0]))
        raise BadRequest(f"Invalid parameter '{name}'.", ErrorDetail(error.reason, parameter=name)) from None
