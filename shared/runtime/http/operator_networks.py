"""The networks from which operators look at a service: what it shows them is for no one else."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Final

from aiohttp import web
from msgspec import Meta

from shared.runtime.http.address import read_address
from shared.runtime.http.client_address import FORWARDED_FOR
from shared.runtime.process.environment import SettingsError

PRIVATE_NETWORKS: Final = (
    "127.0.0.0/8, ::1, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 169.254.0.0/16, fc00::/7, fe80::/10"
)
MetricsNetworks = Annotated[
    str,
    Meta(
        description="networks that may read /metrics and the reasons in /readyz, separated by commas, or 'none': the "
        "address of the connection and every address in X-Forwarded-For has to be in one of them"
    ),
]
"""The setting `METRICS_NETWORKS`."""

Network = IPv4Network | IPv6Network


def read_networks(text: str) -> tuple[Network, ...]:
    """Read the setting `METRICS_NETWORKS`. Raise `SettingsError`."""
    try:
        return () if text.strip() == "none" else tuple(ip_network(each.strip()) for each in text.split(","))
    except ValueError:
        raise SettingsError(
            "METRICS_NETWORKS is wrong: expected 'none', or IP networks separated by commas, such as 10.0.0.0/8"
        ) from None


def is_from(request: web.Request, networks: tuple[Network, ...]) -> bool:
    """Return whether every address that the request names is in one of the networks."""
    forwarded = ",".join(request.headers.getall(FORWARDED_FOR, ()))
    named = [request.remote or "", *(forwarded.split(",") if FORWARDED_FOR in request.headers else ())]
    addresses = [read_address(each) for each in named]
    return all(address is not None and any(address in network for network in networks) for address in addresses)
