"""The choice between JSON and CSV for a response."""

from typing import Final, Literal

from aiohttp import web

from shared.runtime.http.accept import prefers
from shared.runtime.http.body import JSON
from shared.runtime.http.problem import BadRequest, ErrorDetail

CSV: Final = "text/csv"


def wants_csv(request: web.Request, format_: Literal["json", "csv"] | None, *, with_bom: bool) -> bool:
    """Return whether to respond with CSV: as the parameter `format` says, or else as the header `Accept` does.

    Raise `BadRequest` if a byte order mark is asked for without CSV.
    """
    is_csv = format_ == "csv" if format_ else prefers(request, CSV, JSON)
    if with_bom and not is_csv:
        raise BadRequest("Only CSV begins with a byte order mark.", ErrorDetail("add format=csv", parameter="bom"))
    return is_csv
