"""The plan: the whole recipe of a training as typed data. No state lives anywhere else.

`engine.plan_file` reads and writes it as TOML, `engine.plan_checks` says what is wrong or unwise in it.
Every field's meaning, range and advice stands once, in `engine.plan_fields`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["person", "character", "animal", "object", "style", "concept"]
Targets = Literal["transformer", "attention", "locon"]
OptimizerName = Literal["adamw8bit", "adamw", "adafactor", "lion8bit", "prodigy"]
SchedulerName = Literal["constant", "cosine", "linear", "restarts"]
Precision = Literal["auto", "bf16", "fp16", "fp32"]
FilePrecision = Literal["fp16", "bf16", "fp32"]

KINDS: tuple[Kind, ...] = ("person", "character", "animal", "object", "style", "concept")


@dataclass(frozen=True)
class PictureFolder:
    """A folder (or .zip) of training pictures; `repeats` "auto" is worked out from the number of pictures."""

    path: str
    repeats: int | Literal["auto"] = "auto"


@dataclass(frozen=True)
class ClassFolder:
    """A folder of class (regularization) pictures; their own captions win over the class prompt."""

    path: str


@dataclass(frozen=True)
class Subject:
    """What is trained and the words that call it."""

    kind: Kind = "person"
    instance_prompt: str = ""  # the trigger alone, e.g. "ohwx"
    class_prompt: str = ""  # e.g. "woman"


@dataclass(frozen=True)
class Pictures:
    """Training pictures: where they lie and how they are fitted to the base's size."""

    folders: tuple[PictureFolder, ...] = ()
    leave_out: tuple[str, ...] = ()  # pictures of these folders that are not trained, by their name in the folder
    resolution: int | Literal["auto"] = "auto"  # auto: the base's native one
    bucketing: bool = True
    bucket_step: int | Literal["auto"] = "auto"  # auto: the base's native one
    min_side: int | Literal["auto"] = "auto"
    max_side: int | Literal["auto"] = "auto"
    upscale: bool = False
    flip: bool = False
    background: str = "#ffffff"  # what transparent pictures are flattened onto
    hold_out: int | Literal["auto"] = "auto"  # for the validation loss; auto: a tenth from 20 pictures on


@dataclass(frozen=True)
class Regularization:
    """What keeps the class word from being drawn as the subject: class pictures, or the base's own prediction."""

    folders: tuple[ClassFolder, ...] = ()
    prior_prediction: bool = False  # without pictures: hold the class prompt to what the untouched base predicts
    ratio: float = 1.0  # class pictures, or prior predictions, for each picture x repeats
    weight: float = 1.0  # their weight in the loss


@dataclass(frozen=True)
class Captions:
    """How caption files become the trained text."""

    extension: str = ".txt"
    prefix: str = ""
    shuffle: bool = False
    keep_tokens: int = 1
    dropout: float = 0.0
    max_tokens: Literal[75, 150, 225] = 75


@dataclass(frozen=True)
class BaseChoice:
    """The SDXL model that is trained on; prediction and zero-terminal SNR are read from it unless stated."""

    model: str = "sdxl-1.0"
    vae: str = ""
    prediction: Literal["auto", "epsilon", "v_prediction"] = "auto"
    zero_terminal_snr: bool | Literal["auto"] = "auto"


@dataclass(frozen=True)
class Network:
    """The adapter's shape. The update is scaled by alpha/rank (alpha/sqrt(rank) for rsLoRA)."""

    targets: Targets = "transformer"
    rank: int = 32
    alpha: float | Literal["rank"] = "rank"
    conv_rank: int | Literal["rank"] = "rank"
    conv_alpha: float | Literal["rank"] = "rank"
    rslora: bool = False
    dora: bool = False
    dropout: float = 0.0  # on the rank-r projection
    train_text_encoders: bool = False

    @property
    def alpha_value(self) -> float:
        return float(self.rank) if self.alpha == "rank" else float(self.alpha)

    @property
    def conv_rank_value(self) -> int:
        return self.rank if self.conv_rank == "rank" else int(self.conv_rank)

    @property
    def conv_alpha_value(self) -> float:
        return float(self.conv_rank_value) if self.conv_alpha == "rank" else float(self.conv_alpha)

    def scale(self, *, conv: bool = False) -> float:
        """What the product of the two factors is multiplied by before it is added to the base's weight."""
        rank = self.conv_rank_value if conv else self.rank
        alpha = self.conv_alpha_value if conv else self.alpha_value
        return alpha / math.sqrt(rank) if self.rslora else alpha / rank


@dataclass(frozen=True)
class Optimizer:
    """What moves the weights, and how fast."""

    name: OptimizerName | Literal["auto"] = "auto"  # auto: adamw8bit on CUDA, adamw elsewhere
    learning_rate: float | Literal["auto"] = "auto"  # auto: the rate that suits the optimizer
    text_encoder_learning_rate: float | Literal["auto"] = "auto"
    text_encoder_2_learning_rate: float | Literal["auto"] = "auto"
    weight_decay: float = 0.01
    scheduler: SchedulerName = "constant"
    warmup_steps: int = 0
    restarts: int = 3
    gradient_clipping: float = 1.0  # 0: off


@dataclass(frozen=True)
class Length:
    """How long the training is and how it is cut into steps."""

    epochs: int = 10
    steps: int = 0  # 0: by epochs
    batch_size: int = 1
    gradient_accumulation: int = 1
    save_every_epochs: int = 1


@dataclass(frozen=True)
class Loss:
    """Variations on the plain noise-prediction loss."""

    min_snr_gamma: float = 0.0  # 0: off
    noise_offset: float = 0.0
    multires_noise_iterations: int = 0
    multires_noise_discount: float = 0.3
    scale_weight_norms: float = 0.0  # 0: off; largest norm of a module's update


@dataclass(frozen=True)
class Samples:
    """Pictures drawn during training, with the same prompts and seeds each time."""

    prompts: tuple[str, ...] = ()
    every_epochs: int = 1
    steps: int = 20
    cfg: float = 5.0
    seed: int = 42


@dataclass(frozen=True)
class Machine:
    """What the training may use of the computer."""

    precision: Precision = "auto"
    memory_limit_gb: float | Literal["auto"] = "auto"
    seed: int = 0


@dataclass(frozen=True)
class Output:
    """The files that training writes."""

    name: str = ""
    precision: FilePrecision = "bf16"


@dataclass(frozen=True)
class Plan:
    """The whole recipe. Frozen: a change makes a new plan (`engine.plan_file.changed`)."""

    subject: Subject = field(default_factory=Subject)
    pictures: Pictures = field(default_factory=Pictures)
    regularization: Regularization = field(default_factory=Regularization)
    captions: Captions = field(default_factory=Captions)
    base: BaseChoice = field(default_factory=BaseChoice)
    network: Network = field(default_factory=Network)
    optimizer: Optimizer = field(default_factory=Optimizer)
    length: Length = field(default_factory=Length)
    loss: Loss = field(default_factory=Loss)
    samples: Samples = field(default_factory=Samples)
    machine: Machine = field(default_factory=Machine)
    output: Output = field(default_factory=Output)


# The rate that suits each optimizer; the usual 1e-4..3e-4 is AdamW's. Lion takes a third to a tenth of that
# (its update has unit size), Prodigy finds its own and wants 1, Adafactor here runs with a stated rate.
SUITED_RATE: dict[str, float] = {
    "adamw8bit": 1e-4,
    "adamw": 1e-4,
    "adafactor": 1e-4,
    "lion8bit": 2e-5,
    "prodigy": 1.0,
}
# Text encoders overfit sooner than the UNet: half its rate for the first, a quarter for the second.
TEXT_ENCODER_SHARE = (0.5, 0.25)


def learning_rate(plan: Plan, optimizer: str | None = None) -> float:
    """The UNet's learning rate, with "auto" resolved for the optimizer in use."""
    if plan.optimizer.learning_rate != "auto":
        return float(plan.optimizer.learning_rate)
    name = optimizer or plan.optimizer.name
    return SUITED_RATE["adamw" if name == "auto" else name]


def text_encoder_rates(plan: Plan, optimizer: str | None = None) -> tuple[float, float]:
    """The two text encoders' learning rates, with "auto" resolved (Prodigy's 1 is kept as it is)."""
    unet = learning_rate(plan, optimizer)
    shares = (1.0, 1.0) if (optimizer or plan.optimizer.name) == "prodigy" else TEXT_ENCODER_SHARE
    stated = (plan.optimizer.text_encoder_learning_rate, plan.optimizer.text_encoder_2_learning_rate)
    first, second = (
        unet * share if rate == "auto" else float(rate) for rate, share in zip(stated, shares, strict=True)
    )
    return first, second


def effective_rate(plan: Plan, optimizer: str | None = None) -> float:
    """Learning rate x alpha/rank (alpha/sqrt(rank) for rsLoRA): the figure in which all three compare."""
    return learning_rate(plan, optimizer) * plan.network.scale()
