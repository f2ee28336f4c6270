"""The images' locks are cuts of the main one: no version and no hash of their own."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ["launcher", "data", "torch-cuda", "tools"]
NO_TORCH = ["launcher", "data"]


def read_lock(path: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Of each package: its version and hashes."""
    entries = re.split(r"^(?=[A-Za-z0-9])", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    pins = {}
    for entry in entries:
        match = re.match(r"([A-Za-z0-9._-]+)==([^\s;\\]+)", entry)
        assert match is not None, f"{path.name}: not a pin: {entry[:60]!r}"
        pins[match[1]] = (match[2], frozenset(re.findall(r"--hash=(sha256:[0-9a-f]{64})", entry)))
    return pins


def image_lock(name: str) -> dict[str, tuple[str, frozenset[str]]]:
    return read_lock(ROOT / "images" / f"requirements-{name}.lock")


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_has_hashes(name: str) -> None:
    assert all(hashes for _, hashes in image_lock(name).values())


@pytest.mark.parametrize("name", ["launcher", "data", "torch-cuda"])
def test_a_lock_is_a_cut_of_the_main_one(name: str) -> None:
    main = read_lock(ROOT / "requirements.lock")
    differ = {package: pin for package, pin in image_lock(name).items() if main.get(package) != pin}
    assert not differ, "requirements.lock changed: run images/lock.sh"


def test_each_layer_adds_to_the_one_below() -> None:
    launcher, data, torch = (image_lock(name) for name in ("launcher", "data", "torch-cuda"))
    assert launcher.items() < data.items() < torch.items()


@pytest.mark.parametrize("name", NO_TORCH)
def test_no_torch_in_launcher_and_data(name: str) -> None:
    assert not [package for package in image_lock(name) if re.match(r"torch|nvidia|cuda|triton|timm", package)]


@pytest.mark.parametrize(("name", "extras"), [("launcher", []), ("data", ["data"]), ("torch-cuda", ["data", "train"])])
def test_all_that_pyproject_asks_for_is_there(name: str, extras: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    names = {re.split(r"[<>=!\[ ]", line)[0] for line in wanted} - {"tlbatch"}
    assert names <= set(image_lock(name)), "pyproject.toml changed: run images/lock.sh"
