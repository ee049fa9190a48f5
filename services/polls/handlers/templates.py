"""`/v1/templates`: the templates that a new poll can start from."""

from typing import Final

from aiohttp import web

from services.polls.domain.templates import TEMPLATES
from services.polls.payloads.templates import TemplatePayload, Templates
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_response

_ALL: Final = Templates([TemplatePayload.of(template) for template in TEMPLATES])


@endpoint(
    summary="List templates",
    tags=("polls",),
    responses={200: Response(description="The templates that `POST /v1/polls` accepts.", body=Templates, example=_ALL)},
)
async def list_templates(_request: web.Request) -> web.Response:
    """Return 200 with every template."""
    return json_response(_ALL)
