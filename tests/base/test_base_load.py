"""Opening and loading a base: the folder, the single file and diffusers' own loader must agree to the bit."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionXLPipeline, UNet2DConditionModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from engine.base.configs import clip_merges, sdxl_configs
from engine.base.load import Base, open_base
from engine.base.original_layout import real_shapes, write_random_sdxl, write_single_file
from engine.errors import BaseModelError

PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"a network call: {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def single_file(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("single") / "tiny.safetensors"
    write_single_file(loaded(open_base(tiny_folder)), path, torch.float32, merges=list(clip_merges()[:512]))
    return path


def loaded(base: Base, dtype: torch.dtype = torch.float32) -> dict[str, torch.nn.Module]:
    first, second = base.load_text_encoders(dtype)
    return {
        "unet": base.load_unet(dtype),
        "vae": base.load_vae(dtype),
        "text_encoder": first,
        "text_encoder_2": second,
    }


def pipeline(base: Base) -> StableDiffusionXLPipeline:
    first, second = base.tokenizers()
    return StableDiffusionXLPipeline(
        **loaded(base), tokenizer=first, tokenizer_2=second, scheduler=base.scheduler(), add_watermarker=False
    )


def draw(pipe: StableDiffusionXLPipeline) -> np.ndarray:
    pipe.set_progress_bar_config(disable=True)
    noise = torch.Generator().manual_seed(1)
    drawn = pipe(
        "a photo of a cat", num_inference_steps=3, height=64, width=64, generator=noise, output_type="np"
    )
    return drawn.images


def test_folder_and_single_file_draw_the_same(tiny_folder: Path, single_file: Path, no_network: None) -> None:
    from_folder = draw(pipeline(open_base(tiny_folder)))
    assert np.ptp(from_folder) > 0.1
    assert np.abs(from_folder - draw(pipeline(open_base(single_file)))).max() == 0.0


def test_diffusers_own_loaders_agree(tiny_folder: Path, single_file: Path, no_network: None) -> None:
    ours = draw(pipeline(open_base(single_file)))
    theirs = StableDiffusionXLPipeline.from_single_file(
        str(single_file), config=str(tiny_folder), torch_dtype=torch.float32
    )
    for part in PARTS:  # diffusers leaves weights in the mapped file, where they are aligned otherwise
        for tensor in getattr(theirs, part).parameters():
            tensor.data = tensor.data.clone()
    assert np.abs(ours - draw(theirs)).max() == 0.0
    folder = StableDiffusionXLPipeline.from_pretrained(tiny_folder)
    for part, module in loaded(open_base(single_file)).items():
        state = getattr(folder, part).state_dict()
        assert all(torch.equal(state[key], value) for key, value in module.state_dict().items())


def test_real_single_file_names_match_diffusers_converters() -> None:
    """At SDXL's real shape, on the meta device: diffusers' converters turn our names into its modules' names."""
    from accelerate import init_empty_weights
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint

    shapes = real_shapes()
    checkpoint = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    configs = sdxl_configs()
    for convert, kind, part in (
        (convert_ldm_unet_checkpoint, UNet2DConditionModel, "unet"),
        (convert_ldm_vae_checkpoint, AutoencoderKL, "vae"),
    ):
        with init_empty_weights():
            module = kind.from_config(configs[part])
        wanted = {key: tensor.shape for key, tensor in module.state_dict().items()}
        # The converters leave the VAE's 1x1 convolutions to the loader, which squeezes them.
        found = {
            key: tensor.squeeze().shape if "attentions" in key and part == "vae" else tensor.shape
            for key, tensor in convert(dict(checkpoint), config=configs[part]).items()
        }
        assert found == wanted
    # Names and shapes anyone can look up in sd_xl_base_1.0.safetensors.
    assert shapes["model.diffusion_model.input_blocks.8.1.transformer_blocks.9.attn2.to_k.weight"] == (
        1280,
        2048,
    )
    assert shapes["model.diffusion_model.label_emb.0.0.weight"] == (1280, 2816)
    assert shapes["model.diffusion_model.output_blocks.2.2.conv.weight"] == (1280, 1280, 3, 3)
    assert shapes["conditioner.embedders.1.model.transformer.resblocks.31.attn.in_proj_weight"] == (
        3840,
        1280,
    )
    assert shapes["conditioner.embedders.1.model.text_projection"] == (1280, 1280)
    assert shapes["first_stage_model.decoder.mid.attn_1.proj_out.weight"] == (512, 512, 1, 1)
    assert (
        sum(torch.Size(shape).numel() for name, shape in shapes.items() if "diffusion" in name)
        == 2_567_463_684
    )


def test_opening_reads_no_weights(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.base.load.read_into", lambda *args: pytest.fail("weights were read"))
    base = open_base(tiny_folder)
    assert (base.native_resolution, base.vae_scale, base.bucket_step) == (64, 4, 16)
    assert base.name == "tiny" and base.prediction_type == "epsilon" and base.prediction_known


def test_only_the_asked_component_is_read(single_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import engine.base.weights as weights

    names: list[str] = []
    read = weights._read
    monkeypatch.setattr(
        weights, "_read", lambda file, stored: names.append(stored.name) or read(file, stored)
    )
    open_base(single_file).load_unet(torch.bfloat16)
    assert names and all(name.startswith("model.diffusion_model.") for name in names)


def test_dtype_and_device_are_obeyed_and_weights_frozen(single_file: Path) -> None:
    for part, module in loaded(open_base(single_file), torch.bfloat16).items():
        assert {tensor.dtype for tensor in module.parameters()} == {torch.bfloat16}, part
        assert not module.training and not any(tensor.requires_grad for tensor in module.parameters())


def test_facts_of_a_real_sdxl_file(
    tmp_path: Path, header_file: Callable[..., Path], sdxl_shapes: dict
) -> None:
    base = open_base(header_file(tmp_path / "sd_xl_base_1.0.safetensors", sdxl_shapes))
    assert (base.native_resolution, base.vae_scale, base.bucket_step) == (1024, 8, 64)
    assert base.name == "sd_xl_base_1.0"
    assert (base.prediction_type, base.prediction_known) == ("epsilon", False)
    first, second = base.tokenizers()
    assert first("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert (first.pad_token_id, second.pad_token_id, first.model_max_length) == (49407, 0, 77)


def test_what_a_person_states_overrules_the_base(tiny_folder: Path) -> None:
    base = open_base(tiny_folder, prediction_type="v_prediction", zero_terminal_snr=True)
    assert base.train_scheduler().config.prediction_type == "v_prediction"
    assert base.scheduler().config.prediction_type == "v_prediction"
    assert float(base.train_scheduler().alphas_cumprod[-1]) == pytest.approx(0, abs=1e-6)
    assert base.scheduler().config.timestep_spacing == "trailing"


def test_noise_schedule_is_sdxl_s(tiny_folder: Path) -> None:
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    expected = np.cumprod(1 - betas)
    got = open_base(tiny_folder).train_scheduler().alphas_cumprod.numpy()
    assert np.abs(got - expected).max() < 1e-6
    assert got[-1] == pytest.approx(0.00466, abs=1e-5)  # SDXL's well-known leftover signal


@pytest.mark.parametrize("name", ["euler", "euler_a", "dpmpp_2m", "ddim"])
def test_every_scheduler_draws(name: str, tiny_folder: Path) -> None:
    base = open_base(tiny_folder)
    pipe = pipeline(base)
    pipe.scheduler = base.scheduler(name)
    assert np.isfinite(draw(pipe)).all()


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("model.diffusion_model.input_blocks.4.1.proj_in.weight", "unet"),
        ("first_stage_model.decoder.conv_out.bias", "vae"),
        ("conditioner.embedders.0.transformer.text_model.encoder.layers.1.mlp.fc1.bias", "text_encoder"),
        ("conditioner.embedders.1.model.transformer.resblocks.3.attn.in_proj_weight", "text_encoder_2"),
    ],
)
def test_a_missing_and_a_surplus_weight_are_errors(
    name: str, part: str, single_file: Path, tmp_path: Path
) -> None:
    with safe_open(single_file, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(single_file)
    save_file(
        {key: value for key, value in tensors.items() if key != name}, tmp_path / "less.safetensors", metadata
    )
    stray = name.rsplit(".", 2)[0] + ".stray.weight"
    save_file({**tensors, stray: torch.zeros(1)}, tmp_path / "more.safetensors", metadata)
    for file_name, word in (("less", "lacks"), ("more", "unknown")):
        with pytest.raises(BaseModelError, match=f"{word} weights of its {part}"):
            loaded(open_base(tmp_path / f"{file_name}.safetensors"))


def test_files_as_other_programs_save_them(single_file: Path, tiny_folder: Path, tmp_path: Path) -> None:
    """Extra buffers, a linear VAE attention and half precision are all met in the wild."""
    with safe_open(single_file, "pt") as file:
        metadata = file.metadata()
    tensors = {
        key: value.half().reshape(value.shape[:2]).contiguous()
        if "attn_1" in key and value.dim() == 4
        else value.half()
        for key, value in load_file(single_file).items()
    }
    tensors["conditioner.embedders.0.transformer.text_model.embeddings.position_ids"] = torch.arange(77)[None]
    tensors["conditioner.embedders.1.model.logit_scale"] = torch.tensor(4.6)
    tensors["model_ema.decay"] = torch.tensor(0.9999)
    save_file(tensors, tmp_path / "wild.safetensors", metadata)
    wild = loaded(open_base(tmp_path / "wild.safetensors"))
    for part, module in loaded(open_base(tiny_folder)).items():
        state = wild[part].state_dict()
        for key, value in module.state_dict().items():
            assert torch.equal(state[key], value.half().float()), (part, key)


def test_a_file_without_a_vae_needs_one(single_file: Path, tiny_folder: Path, tmp_path: Path) -> None:
    with safe_open(single_file, "pt") as file:
        metadata = file.metadata()
    tensors = {
        key: value for key, value in load_file(single_file).items() if not key.startswith("first_stage_model")
    }
    save_file(tensors, tmp_path / "no-vae.safetensors", metadata)
    with pytest.raises(BaseModelError, match="holds no VAE"):
        open_base(tmp_path / "no-vae.safetensors")
    assert open_base(tmp_path / "no-vae.safetensors", vae=tiny_folder).load_vae(torch.float32) is not None


def test_damaged_configurations_inside_a_file(single_file: Path, tmp_path: Path) -> None:
    save_file(load_file(single_file), tmp_path / "x.safetensors", {"lorasmith.base": "{"})
    with pytest.raises(BaseModelError, match="damaged configurations"):
        open_base(tmp_path / "x.safetensors")


def test_hash_of_a_file_is_its_sha256_and_is_remembered(single_file: Path, own_home: Path) -> None:
    base = open_base(single_file)
    expected = hashlib.sha256(single_file.read_bytes()).hexdigest()
    seen: list[tuple[int, int]] = []
    assert base.compute_hash(lambda done, total: seen.append((done, total))) == expected
    size = single_file.stat().st_size
    assert seen[-1] == (size, size)
    assert base.short_hash == expected[:10]
    cache = own_home / "cache" / "hashes.json"
    remembered = json.loads(cache.read_text())
    cache.write_text(json.dumps(dict.fromkeys(remembered, "f" * 64)))
    assert open_base(single_file).hash == "f" * 64  # read from the cache, not computed again


def test_hash_of_an_open_base_outlives_its_file(single_file: Path, tmp_path: Path) -> None:
    path = shutil.copy(single_file, tmp_path / "base.safetensors")
    base = open_base(path)
    before = base.hash
    path.unlink()
    assert base.hash == before


def test_hash_of_a_folder_follows_its_weights(tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "copy")
    assert open_base(folder).hash == open_base(tiny_folder).hash
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    tensors["decoder.conv_out.bias"] += 1
    save_file(tensors, weights, {"format": "pt"})
    assert open_base(folder).hash != open_base(tiny_folder).hash


def test_v_prediction_survives_the_single_file(tiny_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "v.safetensors"
    modules = loaded(open_base(tiny_folder))
    write_single_file(modules, path, torch.float16, merges=[], v_prediction=True, zero_terminal_snr=True)
    base = open_base(path)
    assert (base.prediction_type, base.zero_terminal_snr, base.prediction_known) == (
        "v_prediction",
        True,
        True,
    )


class TestSeparateVae:
    def test_folder_file_and_original_layout(
        self, tiny_folder: Path, single_file: Path, tmp_path: Path
    ) -> None:
        vae = AutoencoderKL.from_pretrained(tiny_folder / "vae")
        with torch.no_grad():
            vae.decoder.conv_out.bias += 1
        vae.save_pretrained(tmp_path / "other-vae")
        modules = {**loaded(open_base(tiny_folder)), "vae": vae}
        write_single_file(modules, tmp_path / "whole.safetensors", torch.float32, merges=[])
        prefix = "first_stage_model."
        bare = {
            key.removeprefix(prefix): value
            for key, value in load_file(tmp_path / "whole.safetensors").items()
            if key.startswith(prefix)
        }
        save_file(bare, tmp_path / "bare.safetensors")
        for spec in ("other-vae", "whole.safetensors", "bare.safetensors"):
            base = open_base(single_file, vae=tmp_path / spec)
            got = base.load_vae(torch.float32).state_dict()
            assert all(torch.equal(got[key], value) for key, value in vae.state_dict().items()), spec
            assert base.vae_name == Path(spec).stem and base.vae_hash != base.hash
        assert base.vae_hash == hashlib.sha256((tmp_path / "bare.safetensors").read_bytes()).hexdigest()
        assert open_base(single_file).vae_hash == open_base(single_file).hash

    def test_fp16_needs_a_safe_one(self, tiny_folder: Path, tmp_path: Path) -> None:
        with pytest.raises(BaseModelError, match="overflows in fp16"):
            open_base(tiny_folder).load_vae(torch.float16)
        vae = AutoencoderKL.from_pretrained(tiny_folder / "vae")
        vae.register_to_config(force_upcast=False)
        vae.save_pretrained(tmp_path / "safe")
        base = open_base(tiny_folder, vae=tmp_path / "safe")
        assert base.vae_fp16_safe and base.load_vae(torch.float16).dtype == torch.float16

    def test_what_is_no_vae_is_named(self, tiny_folder: Path, tmp_path: Path) -> None:
        save_file({"a": torch.zeros(1)}, tmp_path / "no.safetensors")
        for spec, said in (
            (tmp_path / "no.safetensors", "is no VAE"),
            (tiny_folder / "unet", "is no VAE"),
            (tmp_path / "vae.pt", "no file"),
        ):
            with pytest.raises(BaseModelError, match=said):
                open_base(tiny_folder, vae=spec)

    def test_a_vae_of_another_kind_is_refused(self, tiny_folder: Path, tmp_path: Path) -> None:
        vae = AutoencoderKL.from_pretrained(tiny_folder / "vae")
        vae.register_to_config(scaling_factor=0.18215)
        vae.save_pretrained(tmp_path / "sd15")
        with pytest.raises(BaseModelError, match="scaling_factor 0.18215"):
            open_base(tiny_folder, vae=tmp_path / "sd15")


def test_demo_is_built_once_and_always_the_same(own_home: Path, no_network: None, tmp_path: Path) -> None:
    from engine.base.tiny import make_tiny_base

    base = open_base("demo")
    assert base.name == "demo" and base.source.kind == "embedded"
    same = make_tiny_base(tmp_path / "again")
    if base.path.is_relative_to(own_home):  # no trained base travels along
        assert open_base(same).hash == base.hash
    assert open_base(make_tiny_base(tmp_path / "other", seed=1)).hash != open_base(same).hash
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
def test_real_shape_single_file_loads_offline(tmp_path: Path, no_network: None) -> None:
    """6.9 GB on disk and in turn each component in memory; needs 8 GB of each."""
    path = tmp_path / "random-sdxl.safetensors"
    write_random_sdxl(path)
    base = open_base(path)
    assert path.stat().st_size > 6.9e9 and base.native_resolution == 1024
    first, second = base.load_text_encoders(torch.float16)
    assert (first.config.hidden_size, second.config.hidden_size) == (768, 1280)
    del first, second
    assert sum(tensor.numel() for tensor in base.load_vae(torch.float32).parameters()) == 83_653_863
    unet = base.load_unet(torch.bfloat16)
    assert sum(tensor.numel() for tensor in unet.parameters()) == 2_567_463_684
    with torch.no_grad():
        noise = unet(
            torch.randn(1, 4, 8, 8, dtype=torch.bfloat16),
            500,
            torch.randn(1, 77, 2048, dtype=torch.bfloat16),
            added_cond_kwargs={
                "text_embeds": torch.randn(1, 1280, dtype=torch.bfloat16),
                "time_ids": torch.tensor([[1024, 1024, 0, 0, 1024, 1024]]),
            },
        ).sample
    assert torch.isfinite(noise).all()
