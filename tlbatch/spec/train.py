"""How a run is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tlbatch.schema.base import Count, Part, Positive


class EarlyStopping(Part):
    """Stop when the validation metric has not improved by ``min_delta`` for ``patience`` epochs."""

    patience: Count = Field(default=10, description="epochs without an improvement")
    metric: Literal["loss", "accuracy"] = Field(default="loss", description="of the validation images")
    min_delta: Annotated[float, Field(ge=0)] = Field(default=0.0, description="a smaller improvement is none")


class Train(Part):
    """Optimiser, schedule, regularisation. RMSprop's defaults are Keras' (rho 0.9, eps 1e-7)."""

    epochs: Count = Field(default=20, description="passes over the training images, at most")
    batch_size: Count = Field(default=32, description="images a step")
    micro_batch_size: Count | None = Field(
        default=None,
        exclude_if=lambda size: size is None,  # so that keys of studies without it are the same as ever
        description="images that go through the network at once, where a whole batch would not fit into memory: gradients of "
        "the pieces are accumulated, and a step is one of batch_size images as ever; default: all of them",
    )
    steps_per_epoch: Count | None = Field(default=None, description="default: one pass over the training images")
    optimizer: Literal["rmsprop", "sgd", "adam", "adamw"] = Field(default="adamw", description="who takes the steps")
    lr: Positive | Literal["auto"] = Field(default=1e-3, description="auto: a few values tried briefly, judged on validation")
    lr_candidates: Annotated[tuple[Positive, ...], Field(min_length=1)] = Field(
        default=(3e-5, 1e-4, 3e-4, 1e-3, 3e-3), description="with lr: auto: what is tried"
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.9, description="of SGD")
    rho: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.9, description="of RMSprop: decay of the mean square")
    eps: Positive = Field(default=1e-7, description="of RMSprop, Adam and AdamW: added to the denominator")
    weight_decay: Annotated[float, Field(ge=0)] = Field(default=0.0, description="decoupled with adamw, else an L2 penalty")
    schedule: Literal["constant", "cosine", "step", "linear", "plateau", "inverse"] = Field(
        default="constant",
        description="of the learning rate; cosine and linear end at 0; step: a tenth at 1/2 and 3/4 of the training; "
        "plateau: times 0.3 after 3 epochs without a better validation loss; inverse: (1 + 10 p)^-0.75 at the share p, as DANN",
    )
    warmup_epochs: Annotated[float, Field(ge=0)] = Field(default=0.0, description="the rate rises linearly over them")
    early_stopping: EarlyStopping | None = Field(default=None, description="default: all epochs are trained")
    select: Literal["best", "last"] = Field(
        default="best", description="which epoch is kept; best: validation accuracy, then loss"
    )
    class_weights: Literal["none", "balanced"] | dict[str, Positive] = Field(
        default="none", description="factors on the loss; balanced: rare classes count more, or class -> factor"
    )
    task_weights: Literal["equal", "uncertainty"] | dict[str, Positive] = Field(
        default="equal",
        exclude_if=lambda weights: weights == "equal",  # so that keys of studies without it are the same as ever
        description="with several tasks, factors on their losses: task -> factor (others: 1), or uncertainty: learnt "
        "(Kendall, Gal and Cipolla 2018)",
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="share of each label that is spread over all classes"
    )
    mixup: Annotated[float, Field(ge=0)] = Field(default=0.0, description="alpha of Beta(alpha, alpha); 0: off")
    cutmix: Annotated[float, Field(ge=0)] = Field(default=0.0, description="alpha; 0: off")
    ema: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.0, description="decay of the weights' moving average; 0: off")
    clip_norm: Positive | None = Field(default=None, description="longest gradient; longer ones are scaled down")
    init: Literal["glorot", "torch"] = Field(
        default="glorot", description="of new layers: Glorot-uniform with zero biases, or torch's"
    )

    @property
    def at_once(self) -> int:
        """Images of a batch that go through the network at once."""
        return self.micro_batch_size or self.batch_size
