"""The images, as pods run them: hardened, each entry point, what is in them and what is not."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

REGISTRY = "http://127.0.0.1:5000/v2"
ENTRY_POINTS = {
    "launcher": [("--help",), ("--version",)],
    "data": [("python", "-m", "jobs.prepare", "--help"), ("python", "-m", "jobs.report", "--help")],
    "extract": [("--help",)],
    "finetune": [("--help",)],
    "evaluate": [("--help",)],
}
WITHOUT_TORCH = ["launcher", "data"]
THIN = ["extract", "finetune", "evaluate"]
OCI = "application/vnd.oci.image.manifest.v1+json"
NETWORK = """
import io, os, torch, torchvision, timm
from PIL import Image
from torchvision.io import ImageReadMode, decode_image
buffer = io.BytesIO()
Image.new("RGB", (64, 48), (200, 30, 30)).save(buffer, "JPEG")
pixels = decode_image(torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8), ImageReadMode.RGB)
assert pixels.shape == (3, 48, 64) and abs(int(pixels[0, 0, 0]) - 200) < 6, pixels[:, 0, 0]
model = torchvision.models.mobilenet_v2(weights=None)
model(pixels[None].float() / 255).sum().backward()
boxes = torchvision.ops.nms(torch.tensor([[0.0, 0, 1, 1], [0, 0, 1, 1]]), torch.tensor([0.9, 0.8]), 0.5)
assert boxes.tolist() == [0]
assert timm.create_model("resnet18", pretrained=False, num_classes=2)(torch.zeros(1, 3, 64, 64)).shape == (1, 2)
assert os.environ["HOME"] == "/tmp"
print("works", torch.__version__)
"""
FIGURES = """
import matplotlib.pyplot, sklearn.linear_model, scipy.stats, PIL.Image, jinja2, safetensors.numpy, os
figure, axes = matplotlib.pyplot.subplots()
axes.plot([0, 1])
figure.savefig("/tmp/figure.svg")
print("works", os.path.getsize("/tmp/figure.svg") > 1000)
"""
INSIDE = """
import importlib.util, os, shutil
print(os.getuid(), os.getgid(), sep=":")
print([name for name in ("gcc", "cc", "c++", "make", "uv") if shutil.which(name)])
print([name for name in ("torch", "timm", "jobs", "tlbatch") if importlib.util.find_spec(name)])
try:
    open("/opt/tlbatch/x", "w")
except OSError as error:
    print(error.strerror)
"""


@pytest.mark.parametrize(
    ("target", "command"), [(target, command) for target, commands in ENTRY_POINTS.items() for command in commands]
)
def test_entry_points_answer(
    images: Any, namespace: str, run_pod: Any, pod: Any, target: str, command: tuple[str, ...]
) -> None:
    from tlbatch import __version__

    ended = run_pod(pod(namespace, images.name(target), list(command)))
    assert ended.code == 0, ended.log
    expected = __version__ if command[-1] == "--version" else "usage"
    assert expected in ended.log.lower()


def test_torch_computes_on_a_read_only_root(images: Any, namespace: str, run_pod: Any, pod: Any) -> None:
    ended = run_pod(pod(namespace, images.name("extract"), ["python", "-c", NETWORK]))
    assert ended.code == 0, ended.log
    assert "works 2." in ended.log


def test_data_draws_on_a_read_only_root(images: Any, namespace: str, run_pod: Any, pod: Any) -> None:
    ended = run_pod(pod(namespace, images.name("data"), ["python", "-c", FIGURES]))
    assert ended.code == 0, ended.log
    assert "works True" in ended.log


@pytest.mark.parametrize("target", ["launcher", "data", "finetune"])
def test_user_tools_and_packages_inside(images: Any, namespace: str, run_pod: Any, pod: Any, target: str) -> None:
    user, tools, packages, refused = run_pod(pod(namespace, images.name(target), ["python", "-c", INSIDE])).log.splitlines()
    assert user == "10001:10001"
    assert tools == "[]"
    assert packages == str(["jobs", "tlbatch"] if target in WITHOUT_TORCH else ["torch", "timm", "jobs", "tlbatch"])
    assert refused == "Read-only file system"


def test_one_torch_base_under_three_entry_points(images: Any) -> None:
    layers = {target: [layer["digest"] for layer in manifest(images, target)["layers"]] for target in ENTRY_POINTS}
    assert layers["extract"] == layers["finetune"] == layers["evaluate"]
    assert layers["data"][:-1] == layers["extract"][: len(layers["data"]) - 1], "torch stands on data's dependencies"
    assert layers["launcher"][:-1] == layers["data"][: len(layers["launcher"]) - 1], "data stands on the launcher's"


@pytest.mark.parametrize("target", list(ENTRY_POINTS))
def test_labels_say_what_and_from_where(images: Any, target: str) -> None:
    from tlbatch import __version__

    config = configuration(images, target)
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert labels["title"] == f"tlbatch-{target}"
    assert labels["version"].startswith(__version__)
    assert labels["revision"] == "unknown" or len(labels["revision"]) == 40
    assert labels["description"]
    assert config["User"] == "10001:10001"


def test_the_layer_of_code_is_small(images: Any) -> None:
    sizes = [layer["size"] for layer in manifest(images, "extract")["layers"]]
    assert sizes[-1] < 5_000_000, "code comes last, alone"  # the layer before has gigabytes


def manifest(images: Any, target: str) -> dict[str, Any]:
    """The image's manifest in the local registry."""
    return _read(f"{_repository(images, target)}/manifests/{images.tag}")


def configuration(images: Any, target: str) -> dict[str, Any]:
    """What the image says of itself: user, entry point, labels."""
    document: dict[str, Any] = _read(f"{_repository(images, target)}/blobs/{manifest(images, target)['config']['digest']}")[
        "config"
    ]
    return document


def _repository(images: Any, target: str) -> str:
    return f"{REGISTRY}/{images.name(target).partition('/')[2].rpartition(':')[0]}"


def _read(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": OCI}), timeout=30) as reply:
        document: dict[str, Any] = json.load(reply)
    return document
