"""Fine-tuning as others write it: torch by itself, and timm's train.py. MobileNetV2, the guide's kind of augmentation, float32.

Imported by the peers' scripts, too: torch, torchvision and timm are all that is needed here.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision.datasets import ImageFolder
from torchvision.models import mobilenet_v2
from torchvision.transforms import v2

SIZE, BATCH, LR = 160, 32, 1e-4
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
VARIED = (
    v2.RandomHorizontalFlip(),
    v2.RandomAffine(20, translate=(0.1, 0.1), scale=(0.8, 1.2), interpolation=v2.InterpolationMode.BILINEAR),
)


def photographs(images: Path, count: int) -> Dataset[tuple[Tensor, int]]:
    """``count`` of a folder's, varied: float32 [3, SIZE, SIZE] and the number of the class."""
    tensors = (v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD))
    dataset = ImageFolder(str(images), v2.Compose([v2.Resize(SIZE), v2.CenterCrop(SIZE), *VARIED, *tensors]))
    return Subset(dataset, torch.randperm(len(dataset))[:count].tolist())


def plain_network() -> nn.Module:
    network: nn.Module = mobilenet_v2(num_classes=2)
    return network


def timms_network() -> nn.Module:
    from timm import create_model

    network: nn.Module = create_model("mobilenetv2_100", pretrained=False, num_classes=2)
    return network


def plain_epochs_s(images: Path, count: int, epochs: int, cores: int) -> float:
    """Seconds of the loop that one would write first: a DataLoader with a worker a core."""
    torch.set_num_threads(cores)
    some, network = photographs(images, count), plain_network().train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=LR)
    started = time.perf_counter()
    for _ in range(epochs):
        for x, y in DataLoader(some, batch_size=BATCH, num_workers=cores, shuffle=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x), y).backward()
            optimizer.step()
    return time.perf_counter() - started


def timms_epochs_s(images: Path, count: int, epochs: int, cores: int) -> float:
    """Seconds of train.py's loop (timm 1.0.31) on a CPU: create_loader with its prefetcher and workers that stay,
    create_optimizer_v2, a cosine schedule stepped at every update, its task of model and loss.

    timm has no turns and shifts: torchvision's stand between what its create_transform makes first and last. A last batch that
    is not full is dropped, as train.py does: ``count`` is what is left of the folder.
    """
    from timm.data import create_dataset, create_loader
    from timm.optim import create_optimizer_v2
    from timm.scheduler import create_scheduler_v2
    from timm.task import ClassificationTask

    torch.set_num_threads(cores)
    cpu = torch.device("cpu")
    dataset = create_dataset("", root=str(images))
    network = timms_network()
    optimizer = create_optimizer_v2(network, opt="adamw", lr=LR)
    task = ClassificationTask(network, nn.CrossEntropyLoss(), device=cpu, verbose=False)
    started, seen = time.perf_counter(), 0
    loader = create_loader(
        dataset, (3, SIZE, SIZE), BATCH, is_training=True, no_aug=True, num_workers=cores, mean=MEAN, std=STD, device=cpu
    )
    *first, last = dataset.transform.transforms
    dataset.transform = v2.Compose([*first, *VARIED, last])
    scheduler, _ = create_scheduler_v2(optimizer, "cosine", num_epochs=epochs, updates_per_epoch=len(loader))
    for epoch in range(epochs):
        task.train()
        for step, (x, y) in enumerate(loader, start=epoch * len(loader)):
            optimizer.zero_grad()
            task(x, y)["loss"].backward()
            optimizer.step()
            scheduler.step_update(num_updates=step + 1)
            seen += len(x)
        scheduler.step(epoch + 1)
    seconds = time.perf_counter() - started
    assert seen == count * epochs
    return seconds
