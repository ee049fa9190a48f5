"""Makes the virtual environment and installs the project into it from the hashed lock.

Runs on the interpreter that `make` finds, before anything is installed: the standard library alone, and no
syntax that an older Python 3 cannot read far enough to be told that it is too old.
"""

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

LOCK = Path("requirements/dev.lock")


def main(folder: Path) -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - this is where an older one is told
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
    print(f"Installing from {LOCK}, which takes about half a minute …", flush=True)
    pip(folder, "--require-hashes", "-r", str(LOCK))
    pip(folder, "--no-deps", "--no-build-isolation", "-e", ".")
    stamp.write_text(wanted)


def fingerprint() -> str:
    """Changes when the lock or the project's metadata does, the interpreter, or where the checkout is."""
    state = hashlib.sha256(f"{Path.cwd()} {sys.version} {sys.base_prefix}".encode())
    for file in (LOCK, Path("pyproject.toml")):
        state.update(file.read_bytes())
    return state.hexdigest()


def pip(folder: Path, *arguments: str) -> None:
    command = [
        str(folder / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "-qq",
        "--disable-pip-version-check",
        *arguments,
    ]
    if subprocess.run(command, check=False).returncode != 0:
        sys.exit("The installation failed; what pip said stands above. Mend it and run make again.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
