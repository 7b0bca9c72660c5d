"""Captioners that write word by word, through transformers: BLIP, BLIP-2, Florence-2, and any chat model with eyes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

from engine.caption.captioner import Captioner
from engine.caption.journal import CaptionError
from engine.caption.weights import weight_count
from engine.errors import shown
from engine.train.memory import is_out_of_memory

_ROOM = 1.15  # of the weights' size: what a batch of one needs beside them


@dataclass(frozen=True)
class _Loaded:
    name: str
    kind: str
    model: Any
    processor: Any
    device: torch.device
    dtype: torch.dtype

    def on_device(self, inputs: Any) -> dict[str, Any]:
        """The processor's tensors where the model is; pictures in its precision, tokens as they are."""
        return {
            name: value.to(self.device, self.dtype if value.is_floating_point() else None, non_blocking=True)
            for name, value in inputs.items()
            if isinstance(value, torch.Tensor)
        }

    def pinned(self, inputs: Any) -> dict[str, Any]:
        if self.device.type != "cuda":
            return dict(inputs)
        return {name: value.pin_memory() for name, value in inputs.items() if isinstance(value, torch.Tensor)}


class Blip(Captioner):
    """BLIP and BLIP-2: a short sentence, three beams, no instruction."""

    long_side = 768
    longest = 60  # tokens

    def __init__(self, loaded: _Loaded) -> None:
        self._loaded, self.name = loaded, loaded.name
        self.batch = 16 if loaded.device.type == "cuda" else 1
        text = loaded.model.config.text_config
        # BLIP begins every sentence with a token of its own, which not every tokenizer knows as special.
        self._silent = {text.bos_token_id} - {None}

    def prepare(self, images: Sequence[Image.Image], instruction: str) -> dict[str, Any]:
        return self._loaded.pinned(self._loaded.processor(images=list(images), return_tensors="pt"))

    @torch.inference_mode()
    def write(self, prepared: dict[str, Any]) -> list[str]:
        loaded = self._loaded
        inputs = loaded.on_device(prepared)
        tokens = loaded.model.generate(**inputs, max_new_tokens=self.longest, num_beams=3, do_sample=False)
        said = [[token for token in row if token not in self._silent] for row in tokens.tolist()]
        return [text.strip() for text in loaded.processor.batch_decode(said, skip_special_tokens=True)]


class Florence(Captioner):
    """Florence-2: a sentence or two. Its instruction is one of its own task words, such as <CAPTION>."""

    long_side = 1024
    longest = 200  # tokens
    task = "<DETAILED_CAPTION>"

    def __init__(self, loaded: _Loaded) -> None:
        self._loaded, self.name = loaded, loaded.name
        self.batch = 16 if loaded.device.type == "cuda" else 1

    def prepare(self, images: Sequence[Image.Image], instruction: str) -> dict[str, Any]:
        task = instruction if instruction.startswith("<") and instruction.endswith(">") else self.task
        return self._loaded.pinned(
            self._loaded.processor(text=[task] * len(images), images=list(images), return_tensors="pt", padding=True)
        )

    @torch.inference_mode()
    def write(self, prepared: dict[str, Any]) -> list[str]:
        loaded = self._loaded
        inputs = loaded.on_device(prepared)
        tokens = loaded.model.generate(**inputs, max_new_tokens=self.longest, num_beams=3, do_sample=False)
        return [text.strip() for text in loaded.processor.batch_decode(tokens, skip_special_tokens=True)]


class Chat(Captioner):
    """A chat model that sees (Qwen-VL, SmolVLM, InternVL, Llava ...): writes what the instruction asks for."""

    instructed = True
    long_side = 1024
    longest = 160  # tokens; an instruction asks for forty words, a talkative model is cut off here

    def __init__(self, loaded: _Loaded) -> None:
        self._loaded, self.name = loaded, loaded.name
        self.batch = 8 if loaded.device.type == "cuda" else 1
        # Answers of a batch begin where the longest question ends, so shorter ones are filled up in front.
        loaded.processor.tokenizer.padding_side = "left"
        if loaded.processor.tokenizer.pad_token is None:
            loaded.processor.tokenizer.pad_token = loaded.processor.tokenizer.eos_token

    def prepare(self, images: Sequence[Image.Image], instruction: str) -> dict[str, Any]:
        asked = [
            [{"role": "user", "content": [{"type": "image", "image": image}, {"type": "text", "text": instruction}]}]
            for image in images
        ]
        inputs = self._loaded.processor.apply_chat_template(
            asked,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
        )
        return self._loaded.pinned(inputs)

    @torch.inference_mode()
    def write(self, prepared: dict[str, Any]) -> list[str]:
        loaded = self._loaded
        tokens = loaded.model.generate(**loaded.on_device(prepared), max_new_tokens=self.longest, do_sample=False)
        if not loaded.model.config.is_encoder_decoder:
            tokens = tokens[:, prepared["input_ids"].shape[1] :]  # what comes back begins with the question
        return [text.strip() for text in loaded.processor.batch_decode(tokens, skip_special_tokens=True)]


def open_generative(folder: Path, name: str) -> Captioner:
    """The captioner in a folder of weights, by what its configuration says it is.

    CaptionError: not a model that describes pictures, needs its author's code, or more memory than there is.
    """
    kind = _kind_of(folder, name)
    loaded = _load(folder, name, kind)
    if kind in {"blip", "blip-2"}:
        return Blip(loaded)
    if kind == "florence2":
        return Florence(loaded)
    if getattr(loaded.processor, "chat_template", None) is None:
        raise CaptionError(
            f"{shown(name)} has no chat template, so it cannot be asked for a caption: take its instruct version, or "
            "another captioner."
        )
    return Chat(loaded)


def _kind_of(folder: Path, name: str) -> str:
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        kind = str(config.get("model_type", ""))
    except (OSError, ValueError, AttributeError) as error:
        raise CaptionError(
            f"the config.json of {shown(name)} cannot be read ({shown(error)}): fetch it again."
        ) from error
    if kind == "florence2" and "auto_map" in config:
        raise CaptionError(
            f"{shown(name)} is Florence-2 in its first layout, which needs its author's own code: take "
            "florence-community/Florence-2-large (or -base), the same weights."
        )
    if kind not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        own = " and needs its author's own code, which is not run" if "auto_map" in config else ""
        raise CaptionError(
            f"{shown(name)} is a {shown(kind or 'model of no stated kind')}{own}: it does not describe pictures in a "
            "way known here; take blip, florence-2 or a Qwen-VL model."
        )
    return kind


def _load(folder: Path, name: str, kind: str) -> _Loaded:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.float32
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device)[0] >= 8
        dtype = torch.bfloat16 if native else torch.float16
    _check_room(folder, name, device, dtype)
    try:
        processor = _processor(folder, kind)
        model = AutoModelForImageTextToText.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True, trust_remote_code=False
        )
        model = model.to(device).eval()
    except (ImportError, OSError, ValueError, KeyError, AttributeError, SafetensorError) as error:
        said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise CaptionError(
            f"{shown(name)} cannot be loaded as a captioner ({shown(said[:200])}): fetch it again, or take another."
        ) from error
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise _too_large(name, weight_count(folder) * dtype.itemsize, None, device) from error
    return _Loaded(name, kind, model, processor, device, dtype)


def _processor(folder: Path, kind: str) -> Any:
    """The processor; where torchvision is not installed, without the video part that alone would need it."""
    try:
        return AutoProcessor.from_pretrained(folder, local_files_only=True)
    except ImportError as error:
        import transformers

        made = getattr(transformers, PROCESSOR_MAPPING_NAMES.get(kind) or "", None)
        if made is None or "orchvision" not in str(error):
            raise

    class Still(made):
        """Pictures only."""

        def check_argument_for_proper_class(self, argument_name: str, argument: object) -> object:
            if argument is None:
                return None
            return super().check_argument_for_proper_class(argument_name, argument)

    pictures = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return Still(pictures, tokenizer, chat_template=_chat_template(folder) or tokenizer.chat_template)


def _chat_template(folder: Path) -> str | None:
    """A chat template that lies beside the tokenizer, in either of its two places."""
    plain = folder / "chat_template.jinja"
    if plain.is_file():
        return plain.read_text("utf-8")
    packed = folder / "chat_template.json"
    return json.loads(packed.read_text("utf-8")).get("chat_template") if packed.is_file() else None


def _check_room(folder: Path, name: str, device: torch.device, dtype: torch.dtype) -> None:
    """Says before loading what the system would answer by killing the process."""
    needed = int(weight_count(folder) * dtype.itemsize * _ROOM)
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else _free_memory()
    if free is not None and needed > free:
        raise _too_large(name, needed, free, device)


def _too_large(name: str, needed: int, free: int | None, device: torch.device) -> CaptionError:
    where = "on this card" if device.type == "cuda" else "in this machine's memory"
    left = f"{free / 1e9:.1f} GB are free" if free is not None else "there is less"
    return CaptionError(
        f"{shown(name)} needs about {needed / 1e9:.1f} GB and {left} {where}: take a smaller captioner, or end what "
        "else uses it."
    )


def _free_memory() -> int | None:
    """Bytes of memory that Linux says may still be had."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return None
    found = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    return next((int(kilobytes) * 1024 for kilobytes in found), None)
