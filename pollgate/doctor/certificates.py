"""Read when the TLS certificate of a server ends, without judging whether it is trusted."""

import asyncio
import ssl
import struct
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509

from pollgate.doctor.finding import Examination

LIMIT_S: Final = 3.0
WARNING: Final = timedelta(days=30)
PROBLEM: Final = timedelta(days=7)
_POSTGRES_SSL_REQUEST: Final = struct.pack("!II", 8, 80877103)
"""PostgreSQL's SSLRequest message; the server answers `S` if it speaks TLS."""


async def read_certificate_end(host: str, port: int, *, is_postgres: bool = False) -> datetime | None:
    """Return when the certificate of a server ends; `None` if a PostgreSQL server offers no TLS.

    Raise `OSError` or `TimeoutError` if the server does not answer, or not with TLS.
    """
    async with asyncio.timeout(LIMIT_S):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            if is_postgres:
                writer.write(_POSTGRES_SSL_REQUEST)
                if await reader.readexactly(1) != b"S":
                    return None
            await writer.start_tls(_accept_any(), server_hostname=host)
            certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        except (ssl.SSLError, asyncio.IncompleteReadError) as error:
            raise OSError(f"no TLS: {type(error).__name__}") from None
        finally:
            writer.close()
    return x509.load_der_x509_certificate(certificate).not_valid_after_utc


async def examine_certificate(examination: Examination, host: str, port: int, *, is_postgres: bool = False) -> None:
    """Add until when the certificate of a server is valid."""
    try:
        end = await read_certificate_end(host, port, is_postgres=is_postgres)
    except (OSError, TimeoutError) as error:
        reason = str(error) or "no answer in time"
        examination.skip("TLS certificate", f"{host}:{port}: {reason}", "check the address and the port")
        return
    if end is None:
        return
    left = end - datetime.now(UTC)
    ends = f"ends {end:%Y-%m-%d %H:%M} UTC, in {left.days} days" if left > timedelta() else f"ended {end:%Y-%m-%d}"
    examination.judge(
        "TLS certificate", ends, "renew the certificate of the server", warns=left < WARNING, fails=left < PROBLEM
    )


def _accept_any() -> ssl.SSLContext:
    """Return a context that accepts any certificate: nothing secret is sent, and the date is to be read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
