"""Write the hashed locks from pyproject.toml: one for working on the project, and from it one for the images.

The locks hold for every Python and platform we support, and record hashes but no download addresses. The image has the
versions that the tests run with.
"""

import subprocess
import sys

DEV = "requirements/dev.lock"
LOCKS = {
    DEV: ("cli", "server", "otel", "embedded", "dev"),
    "requirements/services.lock": ("cli", "server", "otel"),
}

COMPILE_OPTIONS = (
    "--universal",
    "--python-version=3.11",
    "--generate-hashes",
    "--no-emit-index-url",
    "--no-header",
    "--upgrade",
    "--quiet",
)


def main() -> None:
    for lock, extras in LOCKS.items():
        print(f"Resolving {lock} …", flush=True)
        options = [word for extra in extras for word in ("--extra", extra)]
        if lock != DEV:
            options += ["--constraint", DEV]
        subprocess.run(
            [
                sys.executable,
                "-m",
                "uv",
                "pip",
                "compile",
                "pyproject.toml",
                *options,
                *COMPILE_OPTIONS,
                "--output-file",
                lock,
            ],
            check=True,
        )


if __name__ == "__main__":
    main()
