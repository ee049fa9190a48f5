"""The bill of materials lists what is installed, and is refused where that is not what is locked."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tools.sbom import debian_components, read_lock

ROOT: Final = Path(__file__).parents[2]
LOCK: Final = ROOT / "requirements" / "services.lock"


def run(lock: Path, output: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "tools/sbom.py", str(lock), str(output), *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def list_installed() -> dict[str, str]:
    """Return the versions of what is installed here, as uv finds them."""
    command = [sys.executable, "-m", "uv", "pip", "list", "--format", "json", "--python", sys.executable]
    listed = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    return {each["name"].lower().replace("_", "-").replace(".", "-"): each["version"] for each in json.loads(listed)}


@pytest.fixture(scope="module")
def sbom(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    output = tmp_path_factory.mktemp("sbom") / "new" / "sbom.cdx.json"
    made = run(LOCK, output, "--version", "1.2.3")
    assert made.returncode == 0, made.stderr
    document: dict[str, Any] = json.loads(output.read_text())
    return document


def test_sbom_lists_each_locked_package_as_it_is_installed(sbom: dict[str, Any]) -> None:
    listed = {component["name"]: component["version"] for component in sbom["components"]}
    installed = list_installed()
    assert listed == {name: installed[name] for name in listed}
    named = set(re.findall(r"^([a-z0-9-]+)==", LOCK.read_text(), re.MULTILINE))
    elsewhere = {"async-timeout"} if sys.version_info >= (3, 11, 3) else set()
    assert listed.keys() == named - elsewhere


def test_sbom_names_the_release_its_packages_and_their_licenses(sbom: dict[str, Any]) -> None:
    assert sbom["metadata"]["component"]["purl"] == "pkg:pypi/pollgate@1.2.3"
    for component in sbom["components"]:
        assert component["purl"] == f"pkg:pypi/{component['name']}@{component['version']}"
        assert component["licenses"], component["name"]
        archives = component["externalReferences"][0]["hashes"]
        assert all(f"--hash=sha256:{each['content']}" in LOCK.read_text() for each in archives)


def test_dependencies_are_between_listed_packages(sbom: dict[str, Any]) -> None:
    references = {component["bom-ref"] for component in sbom["components"]}
    required = {entry["ref"]: set(entry["dependsOn"]) for entry in sbom["dependencies"]}
    assert required.pop("pkg:pypi/pollgate@1.2.3") == references
    assert required.keys() == references
    assert set().union(*required.values()) <= references
    names = {reference: reference.split("/")[1].split("@")[0] for reference in references}
    (aiohttp,) = [reference for reference, name in names.items() if name == "aiohttp"]
    assert {"yarl", "multidict"} <= {names[each] for each in required[aiohttp]}


def test_other_version_than_the_locked_one_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.write_text(re.sub(r"^(yarl|attrs)==\S+", r"\1==0.0.1", LOCK.read_text(), flags=re.MULTILINE))
    refused = run(lock, tmp_path / "sbom.json")
    assert refused.returncode == 1
    assert re.search(r"attrs 0\.0\.1 is locked, and \S+ installed; yarl 0\.0\.1 is locked", refused.stderr)
    assert not (tmp_path / "sbom.json").exists()


def test_missing_package_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.write_text(f"pollgate-missing==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    assert run(lock, tmp_path / "sbom.json").stderr == (
        "no bill of materials: pollgate-missing 1.0 is locked, and not installed\n"
    )


def test_image_with_more_than_the_lock_is_refused(tmp_path: Path) -> None:
    refused = run(LOCK, tmp_path / "sbom.json", "--image")
    assert refused.returncode == 1
    assert "pytest is installed, and not locked" in refused.stderr


def test_packages_for_other_platforms_are_left_out() -> None:
    entry = "    --hash=sha256:" + "a" * 64 + "\n    # via x\n"
    lock = f"one==1.0 \\\n{entry}two==2.0 ; sys_platform == 'none' \\\n{entry}"
    assert read_lock(lock) == {"one": ("1.0", ["a" * 64])}


def test_packages_of_debian_are_listed_if_installed() -> None:
    status = "\n\n".join(
        f"Package: {name}\nStatus: {state}\nArchitecture: amd64\nVersion: 1:2.0+b1\nDescription: x\n y"
        for name, state in {"libc6": "install ok installed", "old": "deinstall ok config-files"}.items()
    )
    assert [each["purl"] for each in debian_components(status)] == ["pkg:deb/debian/libc6@1%3A2.0%2Bb1?arch=amd64"]


def test_image_has_the_versions_that_the_tests_run_with() -> None:
    dev = read_lock((ROOT / "requirements" / "dev.lock").read_text())
    services = read_lock(LOCK.read_text())
    assert {name: version for name, (version, _) in services.items()} == {name: dev[name][0] for name in services}
