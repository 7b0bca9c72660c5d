"""Figures of drawing: pictures a second against diffusers' own pipeline, and how long a LoRA's swap takes."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engine.bench.figures import Figure

BATCH, STEPS, TURNS = 8, 12, 7  # ours and theirs take turns, so that a machine whose speed drifts slows both alike
RANK = 32


def measure_drawing(report: Callable[[str], None]) -> list[Figure]:
    """Runs every figure of drawing on the embedded base and the swap at SDXL's shape."""
    from engine.base.load import open_base
    from engine.draw.artist import drawing_device, drawing_dtype

    base = open_base("demo")
    device = drawing_device()
    dtype = drawing_dtype(device, base)
    with tempfile.TemporaryDirectory(prefix="lorasmith-bench-") as place:
        lora = _planted(base, Path(place) / "lora.safetensors")
        report("drawing against diffusers' pipeline")
        figures = [drawing_ratio(base, device, dtype, None), drawing_ratio(base, device, dtype, lora)]
    report("swapping a LoRA at SDXL's shape")
    return [*figures, swapping(device, torch.float16 if device.type == "cuda" else torch.bfloat16)]


def drawing_ratio(base: Any, device: torch.device, dtype: torch.dtype, lora: Path | None) -> Figure:
    """Seconds a batch of ours over seconds of StableDiffusionXLPipeline, decoding and all, prompts encoded before."""
    from engine.draw.artist import draw_orders, encode_orders
    from engine.draw.loras import LoraSlot
    from engine.draw.order import Order
    from engine.lora.file import load_lora

    orders = [Order("a red fox in the snow", (64, 64), seed, steps=STEPS) for seed in range(BATCH)]
    encoders = base.load_text_encoders(dtype, device)
    prompts = encode_orders(base.tokenizers(), encoders, orders)
    unet, vae = base.load_unet(dtype, device), base.load_vae(torch.float32, device)
    pipeline = _pipeline(base, dtype, device)
    if lora is not None:
        LoraSlot(unet).wear([(load_lora(lora), 1.0)])
        pipeline.load_lora_weights(lora)
    positive, negative = prompts[orders[0].prompt], prompts[""]
    given = {
        "prompt_embeds": positive.hidden.repeat(BATCH, 1, 1), "pooled_prompt_embeds": positive.pooled.repeat(BATCH, 1),
        "negative_prompt_embeds": negative.hidden.repeat(BATCH, 1, 1),
        "negative_pooled_prompt_embeds": negative.pooled.repeat(BATCH, 1),
    }  # fmt: skip
    given = {name: tensor.to(device, dtype) for name, tensor in given.items()}

    def ours() -> None:
        for _ in draw_orders(base, unet, vae, prompts, orders, batch=BATCH):
            pass

    def theirs() -> None:
        pipeline(**given, width=64, height=64, num_inference_steps=STEPS, guidance_scale=5.0, output_type="np")

    pairs = [(_timed(ours), _timed(theirs)) for _ in range(TURNS + 1)][1:]  # the first turn warms up
    # On a CPU by its own seconds: other programs would decide a ratio of the clock's.
    ratios = sorted((one.wall / other.wall) if device.type == "cuda" else (one.cpu / other.cpu) for one, other in pairs)
    rate = BATCH / statistics.median(one.wall for one, _ in pairs)
    return Figure(
        f"drawing / diffusers' pipeline{', both with a LoRA' if lora else ''}", statistics.median(ratios), "",
        "at most 1.10", f"{ratios[0]:.3f} to {ratios[-1]:.3f}; {rate:.1f} pictures/s of 64 px, {STEPS} steps",
    )  # fmt: skip


def swapping(device: torch.device, stored: torch.dtype) -> Figure:
    """Seconds to take one rank-32 LoRA off SDXL's UNet and put the next one on, both read before."""
    from diffusers import UNet2DConditionModel

    from engine.base.configs import sdxl_configs
    from engine.draw.loras import LoraSlot

    # Weights of no value: on a CPU their memory is never touched, so this fits on any machine.
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("meta"):
            unet = UNet2DConditionModel.from_config(dict(sdxl_configs()["unet"])).to_empty(device=device)
    finally:
        torch.set_default_dtype(before)
    files = [_random_lora(unet, stored, seed) for seed in range(2)]
    slot = LoraSlot(unet)
    turns = [_timed(lambda file=files[turn % 2]: slot.wear([(file, 1.0)])) for turn in range(TURNS + 2)][2:]
    seconds = [turn.wall for turn in turns]
    megabytes = sum(f.down.nbytes + f.up.nbytes for f in files[0].modules.values()) / 1e6
    remark = f"{len(files[0].modules)} modules, {megabytes:.0f} MB; slowest {max(seconds) * 1000:.0f} ms"
    return Figure("swap of a rank-32 LoRA at SDXL's shape", statistics.median(seconds) * 1000, "ms", "under 50", remark)


def _pipeline(base: Any, dtype: torch.dtype, device: torch.device) -> Any:
    from diffusers import StableDiffusionXLPipeline

    encoders, tokenizers = base.load_text_encoders(dtype, device), base.tokenizers()
    pipeline = StableDiffusionXLPipeline(
        vae=base.load_vae(torch.float32, device), text_encoder=encoders[0], text_encoder_2=encoders[1],
        tokenizer=tokenizers[0], tokenizer_2=tokenizers[1], unet=base.load_unet(dtype, device),
        scheduler=base.scheduler(), add_watermarker=False,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _planted(base: Any, path: Path) -> Path:
    from engine.lora.attach import attach
    from engine.lora.file import save_lora
    from engine.plan import Network

    adapter = attach(base.load_unet(torch.float32), (), Network(rank=8), seed=0)
    with torch.no_grad():
        for tensor in adapter.state().values():
            tensor.normal_(std=0.01)
    save_lora(adapter, path, "bf16", {})
    return path


def _random_lora(unet: Any, stored: torch.dtype, seed: int) -> Any:
    from engine.lora.file import Factors, LoraFile
    from engine.lora.names import layers_per_block, unet_name
    from engine.lora.targets import unet_targets

    draw = torch.Generator().manual_seed(seed)
    layers = layers_per_block(unet.config)
    modules = {}
    for target in unet_targets(unet, "transformer"):
        out, inputs = target.module.weight.flatten(1).shape  # type: ignore[union-attr,operator]
        down, up = (torch.randn(shape, generator=draw).to(stored) for shape in ((RANK, inputs), (out, RANK)))
        modules[unet_name(target.path, layers)] = Factors(down, up, RANK / 2)
    return LoraFile(Path(f"random-{seed}.safetensors"), modules, {})


@dataclass(frozen=True)
class _Seconds:
    wall: float
    cpu: float


def _timed(work: Callable[[], object]) -> _Seconds:
    _wait()
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    _wait()
    return _Seconds(time.perf_counter() - wall, time.process_time() - cpu)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
