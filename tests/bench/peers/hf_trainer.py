"""``python hf_trainer.py FOLDER COUNT EPOCHS CORES``: fine-tuning by Hugging Face's Trainer, MobileNetV2 at 160 pixels.

The Trainer and its arguments are in the peers' environment; torch, torchvision and this repository are found by PYTHONPATH.
Network, photographs and augmentation are those of the plain loop (tests.bench.loops); what is not named here is the Trainer's
default: AdamW in one pass, a falling learning rate, gradients clipped, float32. Nothing is saved and no bar is drawn, which
would count against it. Prints JSON: steps, loss, seconds of `train`, versions.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import accelerate
import torch
import transformers
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

from tests.bench.loops import BATCH, LR, photographs, plain_network


class Classifier(nn.Module):
    """What the Trainer wants of a network that is not transformers': the loss, where labels are given."""

    def __init__(self) -> None:
        super().__init__()
        self.network = plain_network()

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        logits = self.network(pixel_values)
        return {"logits": logits} if labels is None else {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


class Named(Dataset[dict[str, Any]]):
    """Items by the names of ``forward``, as the Trainer collates them."""

    def __init__(self, items: Dataset[tuple[Tensor, int]], count: int) -> None:
        self.items, self.count = items, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: int) -> dict[str, Any]:
        x, y = self.items[place]
        return {"pixel_values": x, "labels": y}


def main(images: Path, count: int, epochs: int, cores: int) -> None:
    torch.set_num_threads(cores)
    transformers.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=epochs,
            per_device_train_batch_size=BATCH,
            learning_rate=LR,
            dataloader_num_workers=cores,
            remove_unused_columns=False,
            use_cpu=True,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        trainer = Trainer(model=Classifier(), args=arguments, train_dataset=Named(photographs(images, count), count))
        started = time.perf_counter()
        done = trainer.train()
        seconds = time.perf_counter() - started
    found = {"steps": done.global_step, "loss": done.training_loss, "seconds": seconds}
    print(json.dumps({**found, "transformers": transformers.__version__, "accelerate": accelerate.__version__}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
