"""Wait until a process responds over HTTP."""

import asyncio
import subprocess

import aiohttp


async def wait_until_ready(url: str, process: "subprocess.Popen[bytes]", limit_s: float = 60.0) -> None:
    """Wait until the URL returns 200. Fail if the process ends first or takes too long."""
    async with asyncio.timeout(limit_s), aiohttp.ClientSession() as session:
        while True:
            assert process.poll() is None, f"ended with status {process.returncode}"
            try:
                async with session.get(url) as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)
