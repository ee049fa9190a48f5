"""A stream whose handler fails is cut off, so that its client does not take it for complete."""

import aiohttp
import pytest
from aiohttp import web

from shared.runtime.http.application import create_application
from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.response_hooks import start_stream
from shared.runtime.http.routes import PUBLIC, Route, add_routes
from shared.runtime.process.serve import listen


async def send_half(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await start_stream(request, response)
    await response.write(b"the first half")
    raise RuntimeError("there is no second half")


async def test_stream_that_fails_is_cut_off() -> None:
    app = create_application({}, redact=lambda text: text)
    add_routes(app, [Route("GET", "/halves", Endpoint(send_half), PUBLIC)])

    async with listen(app, "127.0.0.1", 0) as port, aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/halves") as response:
            with pytest.raises(aiohttp.ClientError):
                await response.read()
        async with session.get(f"http://127.0.0.1:{port}/other") as response:
            assert response.status == 404
