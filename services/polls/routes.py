"""Every route of the polls service. The guard stands before them all; each handler asks for the scope it needs."""

from typing import Final

from aiohttp import web

from services.polls.handlers import x1

ROUTES: Final = (
    web.get("/x1/{endpoint}", x1.list_polls, allow_head=False),
    web.post("/x1/{endpoint}", x1.create_poll),
    web.put("/x1/{endpoint}", x1.replace_poll),
    web.delete("/x1/{endpoint}", x1.delete_poll),
)


def add_routes(app: web.Application) -> None:
    """Mount every route."""
    app.add_routes(ROUTES)
