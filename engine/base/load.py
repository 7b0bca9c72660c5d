"""Opening an SDXL base: what it is at once, its weights one component at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from engine.base.configs import embedded_base_folder, sdxl_configs
from engine.base.find import BaseSource, cached_snapshot, lorasmith_home, resolve_base
from engine.base.folder import component_weights, folder_configs
from engine.base.hashing import base_hash, files_hash
from engine.base.header import Header, read_header
from engine.base.recognise import Prediction, Recognised, bucket_step, recognise, stored_configs, vae_scale
from engine.base.tokenizer import build_tokenizers, read_tokenizers
from engine.base.vae import VaeSource, open_vae
from engine.base.weights import Stored, locate_in_file, locate_in_folder, read_into
from engine.errors import BaseModelError, shown

Report = Callable[[int, int], None]  # bytes done, bytes in all
_NOISE_KEYS = ("beta_start", "beta_end", "beta_schedule", "num_train_timesteps")


def open_base(
    spec: str | Path,
    *,
    vae: str | Path | None = None,
    prediction_type: Prediction | None = None,
    zero_terminal_snr: bool | None = None,
    report: Report | None = None,
) -> Base:
    """Opens a base by path, hub name, short name or `demo` without loading any weights.

    `vae` names a separate VAE (file, folder or hub name). `prediction_type` and `zero_terminal_snr` overrule
    what the base says of itself. A hub model that is not yet here is downloaded; `report(done, total)` is
    told the bytes. Raises BaseModelError.
    """
    source = resolve_base(str(spec))
    known = recognise(_local_path(source, report))
    return Base(source, known, None if vae is None else str(vae), prediction_type, zero_terminal_snr, report)


def _local_path(source: BaseSource, report: Report | None) -> Path:
    if source.kind == "embedded":
        folder = embedded_base_folder()
        if folder is not None:
            return folder
        from engine.base.tiny import tiny_base_folder

        return tiny_base_folder(lorasmith_home() / "cache")
    if source.repo is not None:
        cached = cached_snapshot(source.repo)
        if cached is not None:
            return cached
        from engine.base.hub import download_base

        return download_base(source.repo, report or (lambda done, total: None))
    assert source.path is not None
    return source.path


class Base:
    """An SDXL base model: facts at once, components on request, each loaded alone and owned by the caller."""

    def __init__(
        self,
        source: BaseSource,
        known: Recognised,
        vae: str | None = None,
        prediction_type: Prediction | None = None,
        zero_terminal_snr: bool | None = None,
        report: Report | None = None,
    ) -> None:
        self.source = source
        self.known = known
        self._hash: str | None = None
        self._header: Header | None = None
        if known.kind == "diffusers":
            self.configs = folder_configs(known.path)
            self._merges = None
        else:
            self._header = read_header(known.path)
            stored = stored_configs(known.path, self._header) or {}
            self._merges = stored.pop("merges", None)
            self.configs = stored or sdxl_configs()
        # The prediction type in force; `prediction_known` is False when nothing says and epsilon is assumed.
        self.prediction_known = prediction_type is not None or known.prediction is not None
        self.prediction_type: Prediction = prediction_type or known.prediction or "epsilon"
        self.zero_terminal_snr = known.zero_terminal_snr if zero_terminal_snr is None else zero_terminal_snr
        self._vae: VaeSource | None = None if vae is None else open_vae(vae, self.configs["vae"], report)
        if self._vae is None and not known.has_vae:
            raise BaseModelError(f"{shown(known.path)} holds no VAE; name one (an SDXL VAE file or folder).")

    @property
    def path(self) -> Path:
        """The file or folder the weights are read from."""
        return self.known.path

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def hash(self) -> str:
        """SHA-256 of the single file, or over a folder's weight files; see `hashing`.

        Worked out once for this object: a training names the base it has loaded, whatever becomes of the file.
        """
        if self._hash is None:
            self._hash = self.compute_hash()
        return self._hash

    @property
    def short_hash(self) -> str:
        """The ten characters A1111 and Forge show for a checkpoint."""
        return self.hash[:10]

    def compute_hash(self, report: Report | None = None) -> str:
        """As `hash`, telling `report(done, total)` the bytes read (6.9 GB take a while the first time)."""
        self._hash = base_hash(self.known, lorasmith_home() / "cache", report)
        return self._hash

    @property
    def native_resolution(self) -> int:
        """Pixels a side the UNet was made for: 1024 for SDXL."""
        return self.known.native_resolution

    @property
    def vae_scale(self) -> int:
        """Pixels a latent cell is wide: 8 for SDXL."""
        return vae_scale(self.configs)

    @property
    def bucket_step(self) -> int:
        """Pixels between bucket sides: 64 for SDXL."""
        return bucket_step(self.configs, self.native_resolution)

    @property
    def vae_fp16_safe(self) -> bool:
        """Whether the VAE in use may compute in fp16: its configuration must say so (force_upcast false)."""
        return not (self._vae.config if self._vae else self.configs["vae"]).get("force_upcast", True)

    @property
    def vae_name(self) -> str | None:
        """The separate VAE's name, or None when the base's own is used."""
        return self._vae.name if self._vae else None

    @property
    def vae_hash(self) -> str:
        """What identifies the VAE in use: the separate one's own hash, or the base's."""
        if self._vae is None:
            return self.hash
        files = {path.name: path for path in self._vae.weights.headers}
        return files_hash(files, lorasmith_home() / "cache")

    def tokenizers(self) -> tuple[CLIPTokenizer, CLIPTokenizer]:
        """Both tokenizers; see `encode` for how they are used."""
        if self.known.kind == "diffusers":
            return read_tokenizers(self.path)
        return build_tokenizers(self._merges)

    def load_text_encoders(
        self, dtype: torch.dtype, device: torch.device | str = "cpu"
    ) -> tuple[CLIPTextModel, CLIPTextModelWithProjection]:
        """Both text encoders, frozen, in eval mode."""
        first = self._load("text_encoder", CLIPTextModel, dtype, device)
        second = self._load("text_encoder_2", CLIPTextModelWithProjection, dtype, device)
        return first, second

    def load_unet(self, dtype: torch.dtype, device: torch.device | str = "cpu") -> UNet2DConditionModel:
        """The UNet, frozen, in eval mode."""
        return self._load("unet", UNet2DConditionModel, dtype, device)

    def without_weights(self) -> tuple[UNet2DConditionModel, tuple[CLIPTextModel, CLIPTextModelWithProjection]]:
        """The UNet and both text encoders as shapes alone: what a LoRA must fit, known in a second."""
        return _empty(UNet2DConditionModel, self.configs["unet"]), (
            _empty(CLIPTextModel, self.configs["text_encoder"]),
            _empty(CLIPTextModelWithProjection, self.configs["text_encoder_2"]),
        )

    def load_vae(self, dtype: torch.dtype, device: torch.device | str = "cpu") -> AutoencoderKL:
        """The VAE (the separate one where named), frozen, in eval mode, in fp32 or bf16.

        fp16 is refused unless the VAE's configuration calls it safe: SDXL's own overflows to NaN.
        """
        if dtype == torch.float16 and not self.vae_fp16_safe:
            raise BaseModelError(
                f"the VAE of {self.vae_name or self.name} overflows in fp16; load it in fp32 or bf16, or name "
                "an fp16-safe one such as madebyollin/sdxl-vae-fp16-fix."
            )
        if self._vae is None:
            return self._load("vae", AutoencoderKL, dtype, device)
        module = _empty(AutoencoderKL, self._vae.config)
        return _filled(module, self._vae.locate(module.state_dict()), dtype, device)

    def train_scheduler(self) -> DDPMScheduler:
        """The noise schedule of training: `alphas_cumprod`, `add_noise`, `get_velocity`.

        Its betas are rescaled where the base has zero terminal SNR (https://arxiv.org/abs/2305.08891).
        """
        return DDPMScheduler(
            **self.noise_schedule(),
            prediction_type=self.prediction_type,
            rescale_betas_zero_snr=self.zero_terminal_snr,
            clip_sample=False,
        )

    def scheduler(self, name: str = "euler") -> Any:
        """A scheduler for drawing, by a key of `engine.draw.samplers.SAMPLERS`."""
        from engine.draw.samplers import build_scheduler

        return build_scheduler(self, name)

    def noise_schedule(self) -> dict[str, Any]:
        """The betas' settings, as every diffusers scheduler takes them; the rest of a configuration is its class's."""
        stated = {**sdxl_configs()["scheduler"], **self.configs["scheduler"]}
        return {key: stated[key] for key in _NOISE_KEYS}

    def _load(self, component: str, kind: Any, dtype: torch.dtype, device: torch.device | str) -> Any:
        module = _empty(kind, self.configs[component])
        wanted = module.state_dict()
        if self._header is not None:
            located = locate_in_file(component, wanted, self.configs[component], self.path, self._header)
        else:
            located = locate_in_folder(component, wanted, component_weights(self.path, component))
        return _filled(module, located, dtype, device)


def _empty(kind: Any, config: Mapping[str, Any]) -> Any:
    """A module of `kind` on the meta device; its buffers, which are not stored, are real."""
    with init_empty_weights(include_buffers=False):
        if kind in (CLIPTextModel, CLIPTextModelWithProjection):
            return kind(CLIPTextConfig(**config))
        return kind.from_config(dict(config))


def _filled(
    module: Any, located: Mapping[str, Stored], dtype: torch.dtype, device: torch.device | str
) -> Any:
    read_into(module, located, dtype, device)
    return module.to(device).eval().requires_grad_(False)
