"""Waiting for a process to answer over HTTP."""

import asyncio
import subprocess

import aiohttp


async def answers(url: str, process: "subprocess.Popen[bytes]", limit_s: float = 20.0) -> None:
    """Return when the URL answers 200; fail when the process ends first or takes too long."""
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
