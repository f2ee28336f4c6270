"""One bake file says what the images are; docker buildx and buildah are told the same."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tlbatch import __version__
from tlbatch.manifests import Site
from tlbatch.manifests.site import LAUNCHER
from tlbatch.steps import STEPS

ROOT = Path(__file__).resolve().parents[2]
BAKE = json.loads((ROOT / "images" / "docker-bake.json").read_text(encoding="utf-8"))
DOCKERFILE = (ROOT / "images" / "Dockerfile").read_text(encoding="utf-8")
THIN = ["extract", "finetune", "evaluate"]


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tlbatch_images_build", ROOT / "images" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def stages() -> dict[str, tuple[str, list[str]]]:
    """Of each stage of the Dockerfile: what it starts from, and its instructions."""
    lines = re.sub(r"\\\n", " ", DOCKERFILE).splitlines()
    found: dict[str, tuple[str, list[str]]] = {}
    name = ""
    for line in lines:
        if match := re.match(r"FROM (\S+) AS (\S+)", line):
            name = match[2]
            found[name] = (match[1], [])
        elif name and re.match(r"[A-Z]", line):
            found[name][1].append(line)
    return found


def test_images_are_those_that_pods_ask_for(build: ModuleType) -> None:
    images = build.load_images(BAKE, {"PREFIX": "registry.example/team", "TAG": __version__})
    site = Site(store="s3://bucket/store", images="registry.example/team")
    assert [tag for image in images for tag in image.tags] == [
        site.image(target) for target in [LAUNCHER, "data", "extract", "finetune", "evaluate"]
    ]
    assert {*(step.image for step in STEPS.values()), LAUNCHER} == {image.target for image in images}


def test_the_tag_is_the_launchers_version(build: ModuleType) -> None:
    variables = build.bake_variables({})
    assert variables["TAG"] == __version__
    assert variables["DESCRIBED"].startswith(__version__)


def test_buildah_gets_every_argument_of_the_bake_file(build: ModuleType) -> None:
    images = build.load_images(BAKE, {"TORCH": "cpu", "DESCRIBED": "1.2+g0", "REVISION": "abc"}, ["data"])
    [command] = build.buildah_commands(images, "sudo buildah bud", {"BASE": "mirror.example/python:3.11-slim", "HOME": "/x"})
    assert command[:3] == ["sudo", "buildah", "bud"]
    assert {word for word in command if word.startswith("--build-arg")} == {
        "--build-arg=VERSION=1.2+g0",
        "--build-arg=REVISION=abc",
        "--build-arg=TORCH=cpu",
        "--build-arg=BASE=mirror.example/python:3.11-slim",
    }
    assert command[command.index("--target") + 1] == "data"


def test_an_image_that_is_not_there_is_named(build: ModuleType) -> None:
    with pytest.raises(SystemExit, match="no image 'trainer'; there are launcher, data"):
        build.load_images(BAKE, {}, ["trainer"])


def test_arguments_are_known_to_the_dockerfile() -> None:
    known = set(re.findall(r"^ARG (\w+)", DOCKERFILE, flags=re.MULTILINE))
    assert set(BAKE["target"]["common"]["args"]) | {"BASE", "UV_DEFAULT_INDEX"} == known


@pytest.mark.parametrize("name", THIN)
def test_thin_targets_add_an_entry_point_and_a_title(name: str) -> None:
    parent, instructions = stages()[name]
    assert parent == "torch"
    assert instructions == [
        f'ENTRYPOINT ["python", "-m", "jobs.{name}"]',
        f"LABEL org.opencontainers.image.title=tlbatch-{name}",
    ]


@pytest.mark.parametrize("name", ["launcher", "data", "torch"])
def test_code_comes_after_dependencies(name: str) -> None:
    parent, instructions = stages()[name]
    assert parent == f"{name}-dependencies"
    assert instructions[0] == "COPY --from=code /opt/tlbatch /opt/tlbatch"
    assert not [line for line in instructions if line.startswith("RUN")]
    assert not [line for line in stages()[parent][1] if "/src" in line or "--from=code" in line]
