"""Write the hashed locks from pyproject.toml: one for the images, one for working on the project.

The locks hold for every Python and platform we support, and record hashes but no download addresses.
"""

import subprocess
import sys

LOCKS = {
    "requirements/services.lock": ("cli", "server", "otel"),
    "requirements/dev.lock": ("cli", "server", "otel", "embedded", "dev"),
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
