"""On which machine something was measured."""

import platform
from pathlib import Path


def machine() -> str:
    """Its operating system and its processor."""
    described = Path("/proc/cpuinfo")
    lines = described.read_text(encoding="utf-8").splitlines() if described.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{platform.system()} {platform.machine()} {model}".strip()
