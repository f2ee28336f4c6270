"""How a run is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tlbatch.spec.base import Count, Part, Positive


class EarlyStopping(Part):
    """Stop when the validation metric has not improved by ``min_delta`` for ``patience`` epochs."""

    patience: Count = 10
    metric: Literal["loss", "accuracy"] = "loss"
    min_delta: Annotated[float, Field(ge=0)] = 0.0


class Train(Part):
    """Optimiser, schedule, regularisation. RMSprop's defaults are Keras' (rho 0.9, eps 1e-7)."""

    epochs: Count = 20
    batch_size: Count = 32
    steps_per_epoch: Count | None = Field(default=None, description="default: one pass over the training images")
    optimizer: Literal["rmsprop", "sgd", "adam", "adamw"] = "adamw"
    lr: Positive | Literal["auto"] = Field(default=1e-3, description="auto: a few values tried briefly, judged on validation")
    lr_candidates: Annotated[tuple[Positive, ...], Field(min_length=1)] = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3)
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    rho: Annotated[float, Field(gt=0, lt=1)] = 0.9
    eps: Positive = 1e-7
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    schedule: Literal["constant", "cosine", "step", "linear", "plateau"] = "constant"
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    early_stopping: EarlyStopping | None = None
    select: Literal["best", "last"] = Field(
        default="best", description="which epoch is kept; best: validation accuracy, then loss"
    )
    class_weights: Literal["none", "balanced"] | dict[str, Positive] = "none"
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    mixup: Annotated[float, Field(ge=0)] = Field(default=0.0, description="alpha of Beta(alpha, alpha); 0: off")
    cutmix: Annotated[float, Field(ge=0)] = Field(default=0.0, description="alpha; 0: off")
    ema: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.0, description="decay of the weights' moving average; 0: off")
    clip_norm: Positive | None = None
    init: Literal["glorot", "torch"] = Field(
        default="glorot", description="of new layers: Glorot-uniform with zero biases, or torch's"
    )
