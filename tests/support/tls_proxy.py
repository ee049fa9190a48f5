"""Serve a port over TLS, as a proxy in front of a service does, with a certificate that nothing trusts."""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.certificates import CertificateAuthority
from tests.support.stack import HOST


@asynccontextmanager
async def run_tls_proxy(port: int, target: int) -> AsyncGenerator[None, None]:
    """Pass what arrives at `port` over TLS on to the port `target` during the block."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_service = await asyncio.open_connection(HOST, target)
        await asyncio.gather(_pipe(reader, to_service[1]), _pipe(to_service[0], writer))

    server = await asyncio.start_server(serve, HOST, port, ssl=_context())
    try:
        yield
    finally:
        server.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:
        made = CertificateAuthority(Path(folder), "ca").sign("proxy", host=HOST)
        context.load_cert_chain(made.file, made.key)
    return context
