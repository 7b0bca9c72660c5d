"""What a plan will take before it is started: steps, time, memory, disk, and the exact size of the LoRA file.

Steps and file size are exact. Memory and time are estimates: their constants were computed on SDXL's shape or
published for other trainers, and say so; the dry step at the start of a training and `lorasmith bench` measure.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.base.configs import embedded_base_folder, sdxl_configs
from engine.base.find import BaseSource, cached_snapshot, resolve_base
from engine.base.folder import folder_configs
from engine.base.header import read_header
from engine.base.recognise import bucket_step, recognise, stored_configs
from engine.dataset.buckets import bucket_rules
from engine.dataset.captions import CaptionRules
from engine.dataset.check import CheckReport, check_dataset
from engine.dataset.scan import Dataset, Folder, scan
from engine.plan import Plan, effective_rate, learning_rate
from engine.plan_finding import DEMO_NATIVE, DEMO_STEP
from engine.sizes import LoraSize, lora_size

GIB = 2**30
NATIVE_RESOLUTION = 1024  # SDXL's own
# Activations kept for the backward pass of one 1024 x 1024 picture in 16 bits, in GiB, counted on SDXL's UNet with
# meta tensors at rank 32; they follow the area (512: 1.60, 768: 3.56).
_ACTIVATIONS = {"attention": 5.24, "transformer": 6.31, "locon": 6.47}
_DROPOUT_ACTIVATIONS = 3.0  # what dropout in front of every adapter keeps besides
_CHECKPOINTED = 0.59  # with full gradient checkpointing, its peak included
_UNET_PARAMETERS = 2.567e9
_TEXT_ENCODER_PARAMETERS = 0.818e9
_CONTEXT = 0.7  # GiB: CUDA's own and its libraries' workspaces
_SMALL_SHARE = 0.1  # a base of less than this share of SDXL's size fits anywhere and is not estimated
# Bytes of optimizer state for each trained parameter.
_STATE_BYTES = {"adamw": 8.0, "adamw8bit": 2.0, "lion8bit": 1.0, "adafactor": 0.1, "prodigy": 16.0}
# Seconds a picture at 1024 x 1024, batch 1, as users published them for kohya's trainer and SimpleTuner
# (kohya_ss 1288, sd-scripts 827; SimpleTuner's SEGMENTED_CHECKPOINTING.md). Names as NVML has them, longer first.
PUBLISHED_SECONDS: tuple[tuple[str, float], ...] = (
    ("RTX 3090 Ti", 1.12),
    ("RTX 3090", 1.23),
    ("RTX 3060", 2.4),
    ("RTX 4090", 1.05),
    ("L40S", 0.585),
    ("H100", 0.606),
)
# A prior prediction beside each picture: a forward of the base, then a forward and a backward of the adapter. As a
# share of a plain picture-step, measured on the small base: 1.3 to 1.7.
PRIOR_COST = 1.4
# Drawing one picture of 25 steps with guidance takes about as long as so many training steps of one picture; rough.
_DRAWING_STEPS = 4.0


@dataclass(frozen=True)
class Card:
    """A graphics card as the driver names it; bytes."""

    name: str
    total: int
    used: int
    driver: str


@dataclass(frozen=True)
class Memory:
    """What the card must hold at once during a step, in bytes, by what it is for."""

    base: float
    activations: float
    adapter: float
    optimizer: float
    other: float

    @property
    def total(self) -> float:
        return self.base + self.activations + self.adapter + self.optimizer + self.other


@dataclass(frozen=True)
class Disk:
    """What a whole run writes, in bytes."""

    checkpoints: float
    state: float
    cache: float

    @property
    def total(self) -> float:
        return self.checkpoints + self.state + self.cache


@dataclass(frozen=True)
class Estimate:
    """What a plan takes. None where it cannot be known; `fast` is without gradient checkpointing, `least` is one
    picture at a time with it."""

    report: CheckReport
    native_resolution: int
    picture_steps: int
    learning_rate: float
    effective_rate: float
    checkpoints: int
    lora: LoraSize | None
    fast: Memory | None
    least: Memory | None
    disk: Disk | None
    card: Card | None
    seconds: float | None
    seconds_source: str
    processes: int = 1
    prior_factor: float = 1.0  # how much longer prior prediction makes a step


def estimate_plan(plan: Plan, card: Card | None = None, *, decode: bool = False, processes: int = 1) -> Estimate:
    """Scans the plan's pictures and works everything out; DatasetError for a folder that cannot be read.

    With `decode` every picture is decoded once, as the training does, so that damaged ones do not count: seconds
    instead of milliseconds. With several `processes`, one for each card, each does the plan's batch.
    """
    configs, native = base_shape(plan.base.model)
    step = _step(configs, native)
    report = plan_report(plan, native_resolution=native, native_step=step, decode=decode, processes=processes)
    return estimate_report(plan, report, (configs, native), card, processes=processes)


def estimate_report(
    plan: Plan, report: CheckReport, shape: tuple[dict[str, Any] | None, int], card: Card | None = None, *,
    processes: int = 1,
) -> Estimate:
    """As `estimate_plan`, for pictures that were looked at before and a base's `base_shape`; milliseconds.

    `report` is of that many processes, too.
    """
    configs, native = shape
    lora = None
    if configs is not None:
        parts = (configs["unet"], configs["text_encoder"], configs["text_encoder_2"])
        lora = lora_size(*parts, plan.network, plan.output.precision)
    side = report.rules.resolution
    is_sdxl = configs is not None and _is_sdxl(configs)
    steps, length = report.steps, plan.length
    picture_steps = sum(line.items + line.class_items for line in report.buckets) * len(steps.each)
    checkpoints = -(-len(steps.each) // length.save_every_epochs) if steps.each else 0
    fast = memory_of(plan, lora, side, length.batch_size, False) if lora and is_sdxl else None
    least = memory_of(plan, lora, side, 1, True) if lora and is_sdxl else None
    seconds, source = _seconds(picture_steps, side, card) if is_sdxl else (None, "this base is not of SDXL's shape")
    prior_factor = _prior_factor(plan, report)
    if seconds is not None and prior_factor > 1:
        seconds *= prior_factor
        source += f", x {prior_factor:.1f} for prior prediction"
    if seconds is not None and processes > 1:
        seconds /= processes
        source += f", shared among {processes} cards as good as this"
    return Estimate(
        report=report,
        native_resolution=native,
        picture_steps=picture_steps,
        learning_rate=learning_rate(plan),
        effective_rate=effective_rate(plan),
        checkpoints=checkpoints,
        lora=lora,
        fast=fast,
        least=least,
        disk=_disk(plan, lora, report, checkpoints) if lora else None,
        card=card,
        seconds=seconds,
        seconds_source=source,
        processes=processes,
        prior_factor=prior_factor,
    )


def _prior_factor(plan: Plan, report: CheckReport) -> float:
    """A step's length with the plan's prior prediction; class pictures have none."""
    if not plan.regularization.prior_prediction:
        return 1.0
    own = sum(line.items for line in report.buckets)
    every = sum(line.items + line.class_items for line in report.buckets)
    return 1 + min(1.0, plan.regularization.ratio) * own / max(1, every) * PRIOR_COST


def plan_report(
    plan: Plan, *, native_resolution: int, native_step: int, decode: bool = False, processes: int = 1
) -> CheckReport:
    """What a training of this plan does with its pictures; only their headers are read, unless `decode` is set."""
    captions = plan.captions
    folders = [
        Folder(Path(one.path), None if one.repeats == "auto" else int(one.repeats)) for one in plan.pictures.folders
    ]
    folders += [Folder(Path(one.path), 1, "class") for one in plan.regularization.folders]
    rules = CaptionRules(extension=captions.extension, prefix=captions.prefix)
    dataset = scan(folders, rules, decode=decode, leave_out=plan.pictures.leave_out)
    return dataset_report(
        plan, dataset, native_resolution=native_resolution, native_step=native_step, processes=processes
    )


def dataset_report(
    plan: Plan, dataset: Dataset, *, native_resolution: int, native_step: int, processes: int = 1
) -> CheckReport:
    """What a training of this plan does with pictures that were scanned before."""
    return check_dataset(
        dataset,
        bucket_rules(plan.pictures, native_resolution, native_step),
        plan.length.batch_size * processes,  # together they do the batch of each (engine.train.schedule)
        plan.length.gradient_accumulation,
        plan.length.epochs,
        kind=plan.subject.kind,
        ratio=plan.regularization.ratio,
        hold_out=plan.pictures.hold_out,
        steps=plan.length.steps,
        seed=plan.machine.seed,
    )


def plan_shape(plan: Plan) -> tuple[int, int]:
    """The native resolution and bucket step of a plan's base, in pixels: what `plan_report` wants to know."""
    configs, native = base_shape(plan.base.model)
    return native, _step(configs, native)


def _step(configs: dict[str, Any] | None, native: int) -> int:
    return bucket_step(configs, native) if configs is not None else DEMO_STEP


def base_shape(model: str) -> tuple[dict[str, Any] | None, int]:
    """A base's configurations and native resolution; configurations of None where they are not on this machine."""
    source = resolve_base(model)
    path = _path_of(source)
    if path is None:
        return (sdxl_configs(), NATIVE_RESOLUTION) if source.kind == "hub" else (None, DEMO_NATIVE)
    known = recognise(path)
    if path.is_dir():
        return dict(folder_configs(path)), known.native_resolution
    return stored_configs(path, read_header(path)) or sdxl_configs(), known.native_resolution


def _path_of(source: BaseSource) -> Path | None:
    if source.kind == "hub" and source.repo:
        return cached_snapshot(source.repo)
    return embedded_base_folder() if source.kind == "embedded" else source.path


def _is_sdxl(configs: dict[str, Any]) -> bool:
    own = sdxl_configs()["unet"]
    return list(configs["unet"].get("block_out_channels", ())) == list(own["block_out_channels"])


def memory_of(plan: Plan, lora: LoraSize, side: int, micro_batch: int, checkpointing: bool) -> Memory:
    """What one step holds on the card, for SDXL's shape; grows with side, batch and rank."""
    network = plan.network
    wide = 2.0 if plan.machine.precision == "fp32" else 1.0
    frozen = _UNET_PARAMETERS + (_TEXT_ENCODER_PARAMETERS if network.train_text_encoders else 0.0)
    kept = _CHECKPOINTED if checkpointing else _ACTIVATIONS[network.targets]
    if network.dropout and not checkpointing:
        kept += _DROPOUT_ACTIVATIONS
    name = "adamw8bit" if plan.optimizer.name == "auto" else plan.optimizer.name
    return Memory(
        base=frozen * 2 * wide,
        activations=kept * GIB * wide * micro_batch * (side / 1024) ** 2,
        adapter=lora.parameters * 8.0,  # fp32 weights and their gradients
        optimizer=lora.parameters * _STATE_BYTES[name],
        other=_CONTEXT * GIB,
    )


def _seconds(picture_steps: int, side: int, card: Card | None) -> tuple[float | None, str]:
    if card is None:
        return None, "no graphics card was found here"
    for name, seconds in PUBLISHED_SECONDS:
        if name in card.name:
            return picture_steps * seconds * (side / 1024) ** 2, f"{seconds:g} s a picture at 1024, published"
    return None, f"nothing is known of the {card.name}"


def drawing_seconds(pictures: int, side: int, card_name: str | None) -> float | None:
    """A rough time for drawing so many pictures on a card whose training speed is published; None for others."""
    for name, seconds in PUBLISHED_SECONDS if card_name else ():
        if name in (card_name or ""):
            return pictures * seconds * _DRAWING_STEPS * (side / 1024) ** 2
    return None


def _disk(plan: Plan, lora: LoraSize, report: CheckReport, checkpoints: int) -> Disk:
    name = "adamw8bit" if plan.optimizer.name == "auto" else plan.optimizer.name
    views = 2 if plan.pictures.flip else 1
    # Mean and deviation of 4 channels at an eighth of the side, fp32; a text of 77 x 2048 and 1280, 16 bits.
    latents = sum(line.bucket[0] * line.bucket[1] / 64 * 4 * 2 * 4 * views for line in report.lines)
    encoded = len(report.lines) * (2 if plan.regularization.prior_prediction else 1)
    texts = 0 if plan.network.train_text_encoders else encoded * (77 * 2048 + 1280) * 2
    return Disk(
        checkpoints=float(checkpoints * lora.file_bytes),
        state=2 * lora.parameters * (4.0 + _STATE_BYTES[name]),  # two generations are kept
        cache=float(latents + texts),
    )


def cards() -> tuple[Card, ...]:
    """The NVIDIA cards the driver shows, without creating a CUDA context; empty where there is no driver."""
    try:
        import pynvml
    except ImportError:
        return ()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        driver = _text(pynvml.nvmlSystemGetDriverVersion())
        found = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            name = _text(pynvml.nvmlDeviceGetName(handle))
            found.append(Card(name, int(memory.total), int(memory.used), driver))
        return tuple(found)
    except pynvml.NVMLError:
        return ()
    finally:
        pynvml.nvmlShutdown()


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


