"""The high-res fix: against diffusers' image-to-image pipeline, its settings, upscalers, shortage of memory."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType

import numpy
import pytest
import torch
from diffusers import StableDiffusionXLImg2ImgPipeline
from PIL import Image
from sdxl_pipelines import sdxl_pipeline
from torch.nn import functional

from engine.base.load import open_base
from engine.draw import artist, hires
from engine.draw.artist import draw_order_latents, draw_orders, encode_orders
from engine.draw.hires import checked_fix, hires_order, hires_orders
from engine.draw.order import HiresFix, Order, parameters
from engine.draw.upscale import LATENT, PixelUpscaler, in_tiles, upscaler_title
from engine.errors import LorasmithError

ORDERS = [Order("a red apple", (64, 64), 1, steps=4), Order("a blue car", (64, 48), 2, steps=4, negative="blurred")]
USUAL = HiresFix()
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def parts(tiny_base):
    base = open_base(tiny_base)
    prompts = encode_orders(base.tokenizers(), base.load_text_encoders(torch.float32), ORDERS)
    return base, base.load_unet(torch.float32), base.load_vae(torch.float32), prompts


@pytest.fixture(scope="module")
def finished(parts):
    return list(draw_orders(*parts, ORDERS, batch=2))


def fixed(parts, finished, fix=USUAL, **options):
    return dict(hires_orders(*parts, finished, fix, **options))


@pytest.mark.parametrize(("sampler", "steps", "denoise"), [("euler", 4, 0.4), ("dpmpp_2m", 5, 0.5), ("ddim", 6, 0.75)])
def test_the_second_pass_is_diffusers_image_to_image(sampler, steps, denoise):
    base = open_base("demo")
    stock = sdxl_pipeline(base)
    stock.scheduler = base.scheduler(sampler)
    theirs = StableDiffusionXLImg2ImgPipeline(**stock.components, add_watermarker=False)
    theirs.set_progress_bar_config(disable=True)
    order = Order("a red fox", (96, 64), 7, negative="blurred", steps=steps, cfg=4.0, sampler=sampler)
    begun = torch.randn((4, 64 // base.vae_scale, 96 // base.vae_scale), generator=torch.Generator().manual_seed(0))
    expected = theirs(
        order.prompt, negative_prompt=order.negative, image=begun[None], strength=denoise, guidance_scale=order.cfg,
        num_inference_steps=round(steps / denoise), generator=torch.Generator().manual_seed(order.seed),
        original_size=(64, 96), target_size=(64, 96), output_type="latent",
    ).images[0]  # fmt: skip
    prompts = encode_orders(base.tokenizers(), (stock.text_encoder, stock.text_encoder_2), [order])
    ((_, latent),) = draw_order_latents(base, stock.unet, prompts, [order], batch=1, begun=[begun], denoise=denoise)
    assert torch.allclose(latent, expected, atol=2e-4), (latent - expected).abs().max()


def test_pictures_are_half_as_large_again_and_the_first_ones_stay(parts, finished):
    before = [pixels.copy() for _, pixels in finished]
    found = fixed(parts, finished)
    assert [pixels.shape for pixels in found.values()] == [(96, 96, 3), (80, 96, 3)]  # 72 is no multiple of 16
    assert list(found) == ORDERS
    assert all(numpy.array_equal(one, pixels) for one, (_, pixels) in zip(before, finished, strict=True))
    again = fixed(parts, finished, batch=2)
    assert max(int(numpy.abs(found[order].astype(int) - again[order]).max()) for order in ORDERS) <= 1


def test_little_denoise_leaves_what_lanczos_and_the_vae_make_of_the_picture(parts, finished):
    base, _, vae, _ = parts
    order, pixels = finished[0]
    enlarged = numpy.asarray(Image.fromarray(pixels).resize((96, 96), Image.Resampling.LANCZOS))
    with torch.no_grad():
        there = torch.tensor(enlarged).permute(2, 0, 1)[None] / 127.5 - 1
        back = vae.decode(vae.encode(there).latent_dist.mode()).sample[0].permute(1, 2, 0)
    through = ((back / 2 + 0.5).clamp(0, 1) * 255).numpy()
    distances = [
        float(numpy.abs(fixed(parts, finished[:1], HiresFix(denoise=denoise, steps=steps))[order] - through).mean())
        for denoise, steps in ((0.002, 1), (1.0, 6))
    ]
    assert distances[0] < 6 and distances[1] > 4 * distances[0], distances


def test_a_latent_upscaler_begins_from_latents_without_the_vae(parts, monkeypatch):
    base, unet, vae, prompts = parts
    fix = HiresFix(upscaler="Latent (bicubic antialiased)", denoise=0.6)
    (_, latent), *_ = draw_order_latents(base, unet, prompts, ORDERS[:1], batch=1)
    seen = []
    real = hires.draw_order_latents
    monkeypatch.setattr(hires, "draw_order_latents", lambda *a, **o: (seen.append(o["begun"]), real(*a, **o))[1])
    monkeypatch.setattr(hires, "encode_picture", None)
    said: list[str] = []
    fixed(parts, [(ORDERS[0], latent)], fix, said=said.append)
    size = (96 // base.vae_scale, 96 // base.vae_scale)
    expected = functional.interpolate(latent[None], size, mode="bicubic", antialias=True)[0]
    assert torch.equal(seen[0][0], expected) and not said


def test_every_latent_upscaler_works_from_pixels_and_warns_below_a_half(parts, finished):
    for upscaler in LATENT:
        said: list[str] = []
        (pixels,) = fixed(parts, finished[:1], HiresFix(upscaler=upscaler, steps=1), said=said.append).values()
        assert pixels.shape == (96, 96, 3)
        (warning,) = said
        assert upscaler in warning and "below denoise 0.5 (here 0.4)" in warning


def test_the_second_pass_makes_the_steps_it_is_given(parts, finished):
    polled = []
    fixed(parts, finished[:1], HiresFix(steps=9), between_steps=lambda: polled.append(1))
    assert len(polled) == 9 + 1  # one before the enlarging
    polled.clear()
    fixed(parts, finished[:1], HiresFix(), between_steps=lambda: polled.append(1))
    assert len(polled) == 4 + 1


def test_the_unet_is_told_the_size_of_the_target(parts, finished, monkeypatch):
    base, unet, vae, prompts = parts
    seen = []
    real = unet.forward

    def watched(*given, added_cond_kwargs, **options):
        seen.append(added_cond_kwargs["time_ids"])
        return real(*given, added_cond_kwargs=added_cond_kwargs, **options)

    monkeypatch.setattr(unet, "forward", watched)
    fixed(parts, finished[1:])
    assert seen[0].unique(dim=0).tolist() == [[80, 96, 0, 0, 80, 96]]


def test_when_memory_runs_out_the_vae_goes_over_to_tiles_and_the_batch_is_halved(parts, finished, monkeypatch):
    base, unet, vae, prompts = parts
    encode, draw, said = hires.encode_picture, artist.draw_latents, []

    def small_encode(vae, pixels):
        if not vae.use_tiling:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return encode(vae, pixels)

    def small_draw(unet, scheduler, prompts, negative, drawings, **options):
        if len(drawings) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return draw(unet, scheduler, prompts, negative, drawings, **options)

    monkeypatch.setattr(hires, "encode_picture", small_encode)
    monkeypatch.setattr(artist, "draw_latents", small_draw)
    twice = [finished[0], (replace(ORDERS[0], seed=5), finished[0][1])]
    try:
        found = fixed(parts, twice, HiresFix(steps=1), batch=2, said=said.append)
    finally:
        vae.disable_tiling()
    assert len(found) == 2 and said == ["2 pictures of 96x96 did not fit in memory at a time; going on with 1."]


@pytest.mark.parametrize(
    ("fix", "sentence"),
    [
        (HiresFix(scale=1), "scale of 1 is not above 1"),
        (HiresFix(scale=float("nan")), "scale of nan"),
        (HiresFix(denoise=0), "denoise of 0 is not above 0"),
        (HiresFix(denoise=1.2), "denoise of 1.2"),
        (HiresFix(denoise=0.01, steps=30), "30 high-res steps at denoise 0.01 are the end of a schedule of 3000"),
        (HiresFix(upscaler="Lancos"), "'Lancos' is no upscaler: write one of Lanczos, Nearest, Latent"),
        (HiresFix(upscaler="nowhere/x4.pth"), "no upscaling model at nowhere/x4.pth"),
    ],
)
def test_settings_that_cannot_be_are_said_in_a_sentence(fix, sentence):
    with pytest.raises(LorasmithError, match=sentence):
        checked_fix(fix, 20)


def test_sdxls_buckets_come_out_exact(parts):
    sdxl = open_base(parts[0].path)
    sizes = {(832, 1216): (1248, 1824), (896, 1152): (1344, 1728), (768, 1344): (1152, 2016)}
    assert {size: hires_order(Order("x", size, 0), HiresFix(), sdxl).size for size in sizes} == sizes


def test_the_png_says_the_fix_as_a1111_does(tmp_path):
    fix = replace(checked_fix(HiresFix(upscaler="latent (NEAREST)", denoise=0.6), 20), steps=15)
    said = parameters(Order("x", (64, 64), 1, steps=20), base_name="b", base_hash="0" * 64, hires=fix)
    assert "Steps: 20," in said and "Size: 64x64" in said
    assert said.endswith(
        "Denoising strength: 0.6, Hires upscale: 1.5, Hires steps: 15, Hires upscaler: Latent (nearest)"
    )
    assert upscaler_title(HiresFix(upscaler=str(tmp_path / "4x-Sharp.pth"))) == "4x-Sharp"


def test_a_model_runs_before_lanczos_and_is_asked_for_where_its_library_is_missing(tmp_path, monkeypatch):
    path = tmp_path / "4x-Sharp.pth"
    path.write_bytes(b"")
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(LorasmithError, match=r"4x-Sharp.pth needs the library spandrel: `pip install spandrel`"):
        PixelUpscaler(str(path), CPU)

    class Four(torch.nn.Module):
        input_channels = output_channels = 3

        def forward(self, picture):
            return functional.interpolate(picture, scale_factor=4, mode="nearest")

    class Loader:
        def load_from_file(self, path):
            if path.read_bytes():
                raise ValueError("unknown architecture")
            return Four()

    library = ModuleType("spandrel")
    library.ImageModelDescriptor, library.ModelLoader = Four, Loader
    monkeypatch.setitem(sys.modules, "spandrel", library)
    pixels = numpy.random.default_rng(0).integers(0, 255, (8, 12, 3), dtype=numpy.uint8)
    four = numpy.asarray(Image.fromarray(pixels).resize((48, 32), Image.Resampling.NEAREST))
    expected = numpy.asarray(Image.fromarray(four).resize((18, 12), Image.Resampling.LANCZOS))
    assert numpy.array_equal(PixelUpscaler(str(path), CPU).enlarge(pixels, (18, 12)), expected)
    path.write_bytes(b"something else")
    with pytest.raises(LorasmithError, match=r"no upscaling model that spandrel can read \(unknown architecture\)"):
        PixelUpscaler(str(path), CPU)


def test_tiles_of_a_model_join_without_a_seam():
    draw = torch.Generator().manual_seed(0)
    kernel = torch.randn((3 * 4, 3, 5, 5), generator=draw)
    picture = torch.rand((1, 3, 37, 50), generator=draw)

    def model(x):  # looks two pixels around, doubles the size
        return functional.pixel_shuffle(functional.conv2d(x, kernel, padding=2), 2)

    assert torch.allclose(in_tiles(model, picture, 16, 4), model(picture), atol=1e-5)
