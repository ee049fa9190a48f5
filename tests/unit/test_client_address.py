"""The address that a request comes from, over real connections."""

from collections.abc import Sequence

import pytest
from aiohttp import web
from multidict import CIMultiDict
from pytest_aiohttp.plugin import AiohttpClient

from shared.runtime.http.address import network_of, read_address
from shared.runtime.http.client_address import FORWARDED_FOR, client_address


async def _address(aiohttp_client: AiohttpClient, proxy_hops: int, lines: Sequence[str]) -> str:
    async def show(request: web.Request) -> web.Response:
        return web.Response(text=str(client_address(request, proxy_hops)))

    app = web.Application()
    app.router.add_get("/", show)
    client = await aiohttp_client(app)
    headers = CIMultiDict((FORWARDED_FOR, line) for line in lines)
    return await (await client.get("/", headers=headers)).text()


@pytest.mark.parametrize("lines", [[], ["10.0.0.1"], ["10.0.0.1, 10.0.0.2"]])
async def test_without_proxies_the_address_of_the_connection_is_used(
    aiohttp_client: AiohttpClient, lines: list[str]
) -> None:
    assert await _address(aiohttp_client, 0, lines) == "127.0.0.1"


@pytest.mark.parametrize(
    ("proxy_hops", "lines", "address"),
    [
        (1, ["10.0.0.1"], "10.0.0.1"),
        (1, ["6.6.6.6, 10.0.0.1"], "10.0.0.1"),
        (1, ["6.6.6.6", "7.7.7.7,10.0.0.1"], "10.0.0.1"),
        (1, ["10.0.0.1", "6.6.6.6,"], "None"),
        (1, ["10.0.0.1, unknown"], "None"),
        (1, [""], "None"),
        (1, [], "None"),
        (2, ["6.6.6.6, 10.0.0.1, 172.16.0.1"], "10.0.0.1"),
        (2, ["6.6.6.6", "10.0.0.1", "172.16.0.1"], "10.0.0.1"),
        (2, ["172.16.0.1"], "None"),
    ],
)
async def test_with_proxies_the_entry_of_the_outermost_trusted_proxy_is_used(
    aiohttp_client: AiohttpClient, proxy_hops: int, lines: list[str], address: str
) -> None:
    assert await _address(aiohttp_client, proxy_hops, lines) == address


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("1.2.3.4", "1.2.3.4"),
        (" \t1.2.3.4 ", "1.2.3.4"),
        ("1.2.3.4:567", "1.2.3.4"),
        ("2001:DB8::0001", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:567", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25eth0]:567", "fe80::1"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("[::FFFF:102:304]:567", "1.2.3.4"),
    ],
)
def test_address_in_any_form_is_read(written: str, address: str) -> None:
    assert str(read_address(written)) == address


@pytest.mark.parametrize(
    "written",
    [
        *(
            "",
            "unknown",
            "_hidden",
            "localhost",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "1.2.3.4/8",
            "1.2.3.4:",
            "1.2.3.4:x",
        ),
        *("16909060", "0x1020304", "١.2.3.4", "1.2.3.4\x00", "[::1", "::1]", "[::1]x", "[]", "::1::", "[" * 5000),
    ],
)
def test_invalid_address_is_none(written: str) -> None:
    assert read_address(written) is None


@pytest.mark.parametrize(
    ("written", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff::", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("", "unknown"),
    ],
)
def test_address_is_limited_by_its_network(written: str, network: str) -> None:
    assert network_of(read_address(written)) == network
