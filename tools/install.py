"""Make the virtual environment and install the project into it from the hashed lock.

Runs on the interpreter that `make` finds, before anything is installed: the standard library alone, and no
syntax that keeps an older Python 3 from reporting that it is too old.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

LOCK = Path("requirements/dev.lock")


def main(folder: Path) -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - the check for older ones
        found = ".".join(map(str, sys.version_info[:2]))
        sys.exit(f"Pollgate needs Python 3.11 or later, and this is {found}. Try: make PYTHON=python3.12")
    stamp = folder / "installed-from"
    wanted = fingerprint()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    try:
        print(f"Making the virtual environment in {folder} …", flush=True)
        venv.create(folder, with_pip=True, symlinks=True, clear=folder.exists())
    except OSError as error:
        sys.exit(f"Cannot make the virtual environment: {error}. Is this folder writable?")
    except subprocess.CalledProcessError:
        sys.exit("Cannot put pip into the virtual environment. On Debian or Ubuntu: apt install python3-venv")
    print(f"Installing from {LOCK} …", flush=True)
    if not install_with_uv(folder):
        print("uv cannot install here, so pip does, which takes about a minute …", flush=True)
        if not run_pip(folder, "--require-hashes", "-r", str(LOCK)):
            sys.exit("The installation failed; what pip said stands above. Correct it and run make again.")
    if not run_pip(folder, "--no-deps", "--no-build-isolation", "-e", "."):
        sys.exit("The project cannot be installed; what pip said stands above. Correct it and run make again.")
    stamp.write_text(wanted)


def fingerprint() -> str:
    """Return a hash of the lock, the project's metadata, the interpreter and the path of the checkout."""
    state = hashlib.sha256(f"{Path.cwd()} {sys.version} {sys.base_prefix}".encode())
    for file in (LOCK, Path("pyproject.toml")):
        state.update(file.read_bytes())
    return state.hexdigest()


def install_with_uv(folder: Path) -> bool:
    """Install the lock with the uv that it names, some ten times faster than with pip. Return whether it worked."""
    settings = pip_settings(folder)
    with tempfile.TemporaryDirectory() as name:
        requirement = Path(name) / "uv.lock"
        requirement.write_text(find_locked("uv"))
        if "no-index" in settings or not run_pip(folder, "--require-hashes", "-r", str(requirement), quietly=True):
            return False
    command = [
        *(str(folder / "bin" / "uv"), "pip", "install", "--quiet", "--compile-bytecode"),
        *("--python", str(folder / "bin" / "python"), "--require-hashes", "-r", str(LOCK)),
    ]
    names = {"index-url": "UV_DEFAULT_INDEX", "cert": "SSL_CERT_FILE"}
    chosen = {variable: settings[name] for name, variable in names.items() if name in settings}
    environment = {**os.environ, **chosen, "UV_HTTP_TIMEOUT": "10", "UV_HTTP_RETRIES": "1"}
    try:
        return subprocess.run(command, env=environment, check=False).returncode == 0
    except OSError as error:
        print(f"uv does not start: {error}", flush=True)
        return False


def find_locked(package: str) -> str:
    """Return the version and hashes of a package in the lock; an empty text if the lock does not have it."""
    found = re.search(rf"^{package}==.*\n(?:^ .*\n)*", LOCK.read_text(), re.MULTILINE)
    return found.group() if found else ""


def pip_settings(folder: Path) -> "dict[str, str]":
    """Return the settings of pip for installing: from files, and from environment variables, which take precedence."""
    command = [str(folder / "bin" / "python"), "-m", "pip", "config", "list"]
    listed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout
    settings: dict[str, str] = {}
    for source in ("global", "install", ":env:"):
        settings.update(re.findall(rf"^{source}\.(\S+?)='(.*)'$", listed, re.MULTILINE))
    return settings


def run_pip(folder: Path, *arguments: str, quietly: bool = False) -> bool:
    """Install with pip. Return whether it succeeded."""
    command = [
        str(folder / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "-qq",
        "--disable-pip-version-check",
        *arguments,
    ]
    errors = subprocess.DEVNULL if quietly else None
    return subprocess.run(command, stderr=errors, check=False).returncode == 0


if __name__ == "__main__":
    main(Path(sys.argv[1]))
