"""Build the images of docker-bake.json, with docker buildx where an engine runs, else with buildah; push them if asked.

    python images/build.py [TARGET ...] [--push] [--bud "buildah bud --layers"] [--push-with "buildah push"] [--print]

Names are ``<PREFIX>/tlbatch-<target>:<TAG>``: PREFIX, TORCH (cuda or cpu), BASE and UV_DEFAULT_INDEX come from the environment,
TAG is the launcher's version. Labels say what git says: the described version and the commit. Standard library only.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BAKE = Path(__file__).with_name("docker-bake.json")
PASSED_ON = ("BASE", "UV_DEFAULT_INDEX")
"""Build arguments with a default in the Dockerfile: given only where the environment has them."""


@dataclass(frozen=True)
class Image:
    """One target of the bake file, its variables filled in."""

    target: str
    tags: tuple[str, ...]
    dockerfile: str
    context: str
    args: Mapping[str, str]


def load_images(bake: Mapping[str, Any], variables: Mapping[str, str], targets: Sequence[str] = ()) -> list[Image]:
    """The images to build, in order. Raises SystemExit for a target that is not there."""
    values = {name: variables.get(name, entry.get("default", "")) for name, entry in bake["variable"].items()}
    names = list(targets) or bake["group"]["default"]["targets"]
    unknown = [name for name in names if name not in bake["target"]]
    if unknown:
        raise SystemExit(f"no image {unknown[0]!r}; there are {', '.join(bake['group']['default']['targets'])}")
    return [_image(bake["target"], name, values) for name in names]


def _image(targets: Mapping[str, Any], name: str, values: Mapping[str, str]) -> Image:
    merged: dict[str, Any] = {"args": {}}
    for part in [*(targets[parent] for parent in targets[name].get("inherits", ())), targets[name]]:
        merged = {**merged, **part, "args": {**merged["args"], **part.get("args", {})}}

    def filled(text: str) -> str:
        return re.sub(r"\$\{(\w+)\}", lambda match: values[match[1]], text)

    return Image(
        merged["target"],
        tuple(filled(tag) for tag in merged["tags"]),
        merged["dockerfile"],
        merged["context"],
        {key: filled(value) for key, value in merged["args"].items()},
    )


def bake_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """What fills the bake file: TAG is the launcher's version, DESCRIBED and REVISION come from git, the rest as set here."""
    source = (ROOT / "tlbatch" / "__init__.py").read_text(encoding="utf-8")
    version = source.partition('__version__ = "')[2].partition('"')[0]
    revision = _git("rev-parse", "HEAD")
    described = _git("describe", "--tags", "--match", "v*", "--dirty").removeprefix("v")
    if revision and not described:
        described = f"{version}+g{revision[:12]}{'.dirty' if _git('status', '--porcelain') else ''}"
    return {"TAG": version, "DESCRIBED": described or version, "REVISION": revision or "unknown", **environment}


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def buildah_commands(images: Sequence[Image], bud: str, environment: Mapping[str, str]) -> list[list[str]]:
    """One command per image; layers that they share are built once and found again."""
    passed = {name: environment[name] for name in PASSED_ON if environment.get(name)}
    commands = []
    for image in images:
        arguments = [f"--build-arg={key}={value}" for key, value in {**image.args, **passed}.items()]
        names = [word for tag in image.tags for word in ("-t", tag)]
        what = ["-f", image.dockerfile, "--target", image.target, *arguments, image.context]
        commands.append([*shlex.split(bud), *names, *what])
    return commands


def bake_command(targets: Sequence[str], environment: Mapping[str, str], push: bool) -> list[str]:
    """docker buildx reads the bake file itself, and the variables from the environment."""
    passed = [f"--set=*.args.{name}={environment[name]}" for name in PASSED_ON if environment.get(name)]
    return ["docker", "buildx", "bake", "-f", str(BAKE), "--push" if push else "--load", *passed, *targets]


def copy_sources(folder: Path) -> None:
    """What the images are made of, as it is now: buildah makes them one by one, and all shall have the same code."""
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("tlbatch", "jobs", "images"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("pyproject.toml", ".dockerignore"):
        shutil.copy2(ROOT / name, folder)


def _docker_runs() -> bool:
    if shutil.which("docker") is None:
        return False
    checks = (["docker", "buildx", "version"], ["docker", "info"])
    return all(subprocess.run(check, capture_output=True, check=False).returncode == 0 for check in checks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="one of the bake file's; default: all")
    parser.add_argument("--push", action="store_true", help="push what was built")
    parser.add_argument("--bud", default="", help="build with this command instead of docker, e.g. 'buildah bud --layers'")
    parser.add_argument("--push-with", default="buildah push", help="push with this command (with buildah)")
    parser.add_argument("--print", action="store_true", help="print the commands and do nothing")
    arguments = parser.parse_args()
    variables = bake_variables(os.environ)
    images = load_images(json.loads(BAKE.read_text(encoding="utf-8")), variables, arguments.targets)
    if not arguments.bud and _docker_runs():
        _run([bake_command(arguments.targets, variables, arguments.push)], variables, ROOT, dry=arguments.print)
        return
    commands = buildah_commands(images, arguments.bud or "buildah bud --layers", variables)
    if arguments.push:
        commands += [[*shlex.split(arguments.push_with), tag] for image in images for tag in image.tags]
    with tempfile.TemporaryDirectory(prefix="tlbatch-images-") as folder:
        copy_sources(Path(folder))
        _run(commands, variables, Path(folder), dry=arguments.print)


def _run(commands: Sequence[Sequence[str]], variables: Mapping[str, str], folder: Path, *, dry: bool) -> None:
    for command in commands:
        print(shlex.join(command), flush=True)
        if not dry and subprocess.run(command, cwd=folder, env={**os.environ, **variables}, check=False).returncode:
            sys.exit(f"failed: {shlex.join(command)}")


if __name__ == "__main__":
    main()
