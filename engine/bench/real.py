"""Figures at SDXL's real shape with random weights: pictures a second, MFU and peak VRAM on a CUDA device."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch

from engine.base.configs import sdxl_configs
from engine.lora.attach import attach
from engine.plan import Length, Network, Plan
from engine.train.batches import Batch
from engine.train.memory import Rung, is_out_of_memory, release
from engine.train.optimizer import RateGroup, build_optimizer
from engine.train.trainer import Trainer

# Forward and backward of one 1024 x 1024 picture with a rank-32 LoRA on the 722 linears, counted operation by
# operation on meta tensors; recomputation is never counted, so checkpointing shows as the loss it is.
TFLOP_A_PICTURE = 14.62
# Dense 16-bit TFLOP/s with fp32 accumulation, from the makers' data sheets.
# The first name that occurs in the card's own counts.
PEAK_TFLOPS = {
    "H200": 989, "H100 PCIe": 756, "H100 NVL": 835, "H100": 989,
    "A100": 312, "L40S": 362, "4090": 165, "3090": 71, "3060": 25.6,
}  # fmt: skip
WARM_UP, COUNTED = 3, 10


@dataclass(frozen=True)
class RealFigure:
    """One row of the table; None where the plan did not fit."""

    batch: int
    checkpointing: bool
    seconds_a_step: float | None
    pictures_a_second: float | None
    mfu_of_spec: float | None
    mfu_of_measured: float | None
    peak_gb: float | None


def measure_real(report: Callable[[str], None]) -> dict[str, object]:
    """Batches 1 and 4 and the largest that fits, without and with gradient checkpointing."""
    device = torch.device("cuda")
    report("the card's own matrix product")
    measured = matmul_tflops(device)
    rows = []
    for checkpointing in (False, True):
        largest = 1
        for batch in (1, 4, 8, 12, 16, 24, 32, 48, 64):
            report(f"batch {batch}, checkpointing {'on' if checkpointing else 'off'}")
            row = measure_one(sdxl_configs()["unet"], device, batch, checkpointing, measured)
            if row.seconds_a_step is None:
                break
            largest = batch
            rows.append(row)
        rows = [row for row in rows if row.checkpointing != checkpointing or row.batch in {1, 4, largest}]
    return {"matmul_tflops": round(measured, 1), "real_shape": [asdict(row) for row in rows]}


def measure_one(
    unet_config: dict[str, Any], device: torch.device, batch: int, checkpointing: bool, measured: float = 0.0,
    *, resolution: int = 1024, rank: int = 32,
) -> RealFigure:
    """Trains on noise for a few steps; a plan that does not fit gives a row of None."""
    release()
    try:
        trainer, examples = random_trainer(unet_config, device, batch, resolution=resolution, rank=rank)
        trainer.use_rung(Rung(checkpointing, batch))
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        for step in range(WARM_UP):
            trainer.step(step, [examples])
        _wait(device)
        start = time.perf_counter()
        for step in range(COUNTED):
            trainer.step(step, [examples])
        _wait(device)
        seconds = (time.perf_counter() - start) / COUNTED
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return RealFigure(batch, checkpointing, None, None, None, None, None)
    rate = batch / seconds
    tflops = rate * TFLOP_A_PICTURE
    spec = next((peak for name, peak in PEAK_TFLOPS.items() if device.type == "cuda"
                 and name in torch.cuda.get_device_name(device)), None)  # fmt: skip
    return RealFigure(
        batch, checkpointing, round(seconds, 4), round(rate, 3),
        round(tflops / spec, 4) if spec else None,
        round(tflops / measured, 4) if measured else None,
        round(torch.cuda.max_memory_allocated() / 1e9, 2) if device.type == "cuda" else None,
    )  # fmt: skip


def random_trainer(
    unet_config: dict[str, Any], device: torch.device, batch: int, *, resolution: int, rank: int
) -> tuple[Trainer, list]:
    """A trainer on a UNet of this configuration with random weights, and stand-ins for a batch of examples."""
    from diffusers import DDPMScheduler, UNet2DConditionModel

    from engine.train.resolve import resolve

    plan = Plan(network=Network(rank=rank), length=Length(batch_size=batch))
    resolved = resolve(
        plan, device, native_resolution=resolution, native_step=64, base_prediction="epsilon", base_zero_snr=False,
        small_model=False,
    )  # fmt: skip
    with torch.device(device):
        before = torch.get_default_dtype()
        torch.set_default_dtype(resolved.base_dtype)
        try:
            unet = UNet2DConditionModel.from_config(unet_config)
        finally:
            torch.set_default_dtype(before)
    unet.requires_grad_(False)
    adapter = attach(unet, (), plan.network, seed=0)
    unet.train()
    groups = [RateGroup(adapter.parameters_unet(), 1e-4)]
    optimizer = build_optimizer(resolved.optimizer, groups, plan.optimizer)
    alphas = DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000
    ).alphas_cumprod
    batches = RandomBatches(unet.config, resolved.base_dtype, device, resolution // 8)
    trainer = Trainer(plan, resolved, unet=unet, adapter=adapter, groups=groups, optimizer=optimizer, batches=batches,  # type: ignore[arg-type]
                      alphas_cumprod=alphas, device=device)  # fmt: skip
    return trainer, [None] * batch


class RandomBatches:
    """Batches of noise on the device, in the shapes that real ones have.

    Each size is made once: a small tensor copied to the device at every step would have the host wait for it.
    """

    def __init__(self, config: Any, dtype: torch.dtype, device: torch.device, side: int) -> None:
        self._config, self._dtype, self._device, self._side = config, dtype, device, side
        self._made: dict[int, Batch] = {}

    def build(self, examples: list, places: list) -> Batch:
        count = len(examples)
        if count not in self._made:
            self._made[count] = self._make(count)
        return self._made[count]

    def _make(self, count: int) -> Batch:
        device = self._device
        pooled = self._config.projection_class_embeddings_input_dim - 6 * self._config.addition_time_embed_dim
        shape = (count, self._config.in_channels, self._side, self._side)
        size = float(self._side * 8)
        return Batch(
            latents=torch.randn(shape, device=device),
            noise=torch.randn(shape, device=device),
            timesteps=torch.randint(0, 1000, (count,), device=device),
            time_ids=torch.tensor([[size, size, 0.0, 0.0, size, size]] * count, device=device),
            weights=torch.ones(count, device=device),
            hidden=torch.randn((count, 77, self._config.cross_attention_dim), device=device, dtype=self._dtype),
            pooled=torch.randn((count, pooled), device=device, dtype=self._dtype),
            texts=("",) * count,
        )


def matmul_tflops(device: torch.device, side: int = 8192) -> float:
    """What the device reaches in bf16 on one large matrix product of random data: the practical ceiling."""
    a = torch.randn((side, side), device=device, dtype=torch.bfloat16)
    b = torch.randn((side, side), device=device, dtype=torch.bfloat16)
    for _ in range(3):
        a @ b
    _wait(device)
    start = time.perf_counter()
    for _ in range(10):
        a @ b
    _wait(device)
    return 2 * side**3 * 10 / (time.perf_counter() - start) / 1e12


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
