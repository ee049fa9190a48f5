"""Choose between two media types by the Accept header (RFC 9110 §12.5.1)."""

import re
from typing import Final

from aiohttp import hdrs, web

_WEIGHT: Final = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


def prefers(request: web.Request, media_type: str, default: str) -> bool:
    """Return whether the request names `media_type` and gives `default` no higher weight.

    A range such as `*/*` does not select `media_type`: clients that send it expect the default.
    """
    accepted = request.headers.getall(hdrs.ACCEPT, None)
    if accepted is None:
        return False
    weights = _weights(",".join(accepted))
    ranges = (default, default.partition("/")[0] + "/*", "*/*")
    default_weight = next((weights[each] for each in ranges if each in weights), 0.0)
    return 0 < weights.get(media_type, 0.0) >= default_weight


def _weights(accept: str) -> dict[str, float]:
    """Return the weights by media range; ignore malformed elements."""
    weights: dict[str, float] = {}
    for element in accept.lower().split(","):
        media_range, *parameters = (part.strip() for part in element.split(";"))
        weight = next((each[2:] for each in parameters if each.startswith("q=")), "1")
        if _WEIGHT.fullmatch(weight):
            weights[media_range] = max(float(weight), weights.get(media_range, 0.0))
    return weights
