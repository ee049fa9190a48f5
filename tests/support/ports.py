"""Ports for servers that a test starts as separate processes."""

import socket
from typing import Final

_PORTS: Final = range(20_000, 30_000)
"""Below the ports that the kernel gives to connections and to servers that ask for any port."""
_taken: Final[list[socket.socket]] = []


def take_port() -> int:
    """Return a free TCP port on 127.0.0.1 that no other test is given, in this or in another process.

    The UDP port of the same number is the lock: it is held until the process ends.
    """
    for port in _PORTS:
        lock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            lock.bind(("127.0.0.1", port))
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
        else:
            _taken.append(lock)
            return port
    raise RuntimeError(f"no free port from {_PORTS.start} to {_PORTS.stop - 1}")
