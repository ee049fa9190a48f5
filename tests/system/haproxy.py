"""HAProxy with the configuration of the compose stack, in front of processes on this machine."""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.faults.cluster_processes import ClusterProcess
from tests.support.http import wait_until_ready
from tests.support.ports import take_port

CONFIGURATION: Final = Path(__file__).parents[2] / "deploy" / "haproxy.cfg"
_FOLDERS: Final = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"


class HAProxy(ClusterProcess):
    """The proxy. `replicas` are the ports of each service, by the name that it has in the configuration."""

    def __init__(
        self, replicas: Mapping[str, Sequence[int]], folder: Path, output: Path, configuration: Path = CONFIGURATION
    ) -> None:
        program = shutil.which("haproxy", path=_FOLDERS)
        if program is None:
            pytest.skip("needs HAProxy: apt install haproxy")
        polls, token_authority = take_port(), take_port()
        self.polls = f"http://127.0.0.1:{polls}"
        self.token_authority = f"http://127.0.0.1:{token_authority}"
        file = folder / "haproxy.cfg"
        text = _name_replicas(configuration.read_text(encoding="utf-8"), replicas)
        file.write_text(
            text.replace("bind :8080", f"bind 127.0.0.1:{polls}").replace(
                "bind :8081", f"bind 127.0.0.1:{token_authority}"
            )
        )
        super().__init__("haproxy", [program, "-db", "-f", str(file)], {}, output / f"haproxy-{polls}.log")

    async def ready(self) -> None:
        """Wait until a replica of each service answers."""
        for base in (self.polls, self.token_authority):
            await wait_until_ready(f"{base}/readyz", self._process)


def _name_replicas(text: str, replicas: Mapping[str, Sequence[int]]) -> str:
    """Return the configuration with these replicas, in place of those that Docker's DNS names."""
    text, _ = re.subn(r"^resolvers docker\n(?: +.*\n)+", "", text, flags=re.MULTILINE)
    text, _ = re.subn(r" resolvers docker init-addr none", "", text)
    for name, ports in replicas.items():
        servers = "\n".join(f"    server {name}-{port} 127.0.0.1:{port}" for port in ports)
        text, found = re.subn(rf"    server-template {name}- .*", servers, text)
        assert found, f"no server-template of {name}"
    assert "docker" not in text.partition("\nglobal\n")[2]
    return text
