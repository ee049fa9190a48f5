"""Which of two media types a request would rather have, by its Accept header (RFC 9110 §12.5.1)."""

import re
from typing import Final

from aiohttp import web

_WEIGHT: Final = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


def prefers(request: web.Request, media_type: str, usual: str) -> bool:
    """Whether the request names `media_type` and wants `usual` no more than that.

    A range such as `*/*` says nothing for `media_type`, for whoever sends it expects what is usual.
    """
    weights = _weights(",".join(request.headers.getall("Accept", ())))
    ranges = (usual, usual.partition("/")[0] + "/*", "*/*")
    usual_weight = next((weights[each] for each in ranges if each in weights), 0.0)
    return 0 < weights.get(media_type, 0.0) >= usual_weight


def _weights(accept: str) -> dict[str, float]:
    """The weights by media range, without what cannot be understood."""
    weights: dict[str, float] = {}
    for element in accept.lower().split(","):
        media_range, *parameters = (part.strip() for part in element.split(";"))
        weight = next((each[2:] for each in parameters if each.startswith("q=")), "1")
        if _WEIGHT.fullmatch(weight):
            weights[media_range] = max(float(weight), weights.get(media_range, 0.0))
    return weights
