"""How the programs that people draw with find a LoRA's modules: their rules, stated anew, to check a file against.

Each rule here was read in the program itself and written down without use of `engine.lora.names`, so that a mistake
there cannot hide here. Sources: A1111 extensions-builtin/Lora/networks.py, Forge extensions-builtin/sd_forge_lora/
networks.py, ComfyUI comfy/lora.py and comfy/utils.py, InvokeAI backend/patches/lora_conversions/
sdxl_lora_conversion_utils.py, diffusers loaders/lora_conversion_utils.py.

A module is called here `unet.<path>`, `text_encoder.<path>` or `text_encoder_2.<path>`, with diffusers' and
transformers' paths (`text_model.` left out).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

READERS = ("A1111", "Forge", "ComfyUI", "InvokeAI", "diffusers")
_FORGE_TOLERATES = 12  # tensors without a place; one more and the whole LoRA is refused

_RESNET_PARTS = (
    ("conv1", "in_layers.2"),
    ("time_emb_proj", "emb_layers.1"),
    ("conv2", "out_layers.3"),
    ("conv_shortcut", "skip_connection"),
)


@dataclass(frozen=True)
class ReaderResult:
    """What one program does with a file: name in the file -> module it lands on, what finds no place, or why not."""

    matched: dict[str, str]
    unmatched: tuple[str, ...] = ()
    refused: str = ""  # why the program loads nothing of the file; empty where it loads
    ignored: tuple[str, ...] = ()  # keys it leaves out with a warning (DoRA's magnitudes in diffusers)


def match_all(keys: Collection[str], expected_modules: Iterable[str], layers: int = 2) -> dict[str, ReaderResult]:
    """What each program makes of a file with these tensor names on a model with these modules.

    `layers` is the UNet's layers_per_block: the programs' tables, written for SDXL's 2, count with it.
    """
    modules = [_without_text_model(module) for module in expected_modules]
    original = _original_names(modules, layers)
    by_program: dict[str, Callable[[], ReaderResult]] = {
        "A1111": lambda: _a1111(keys, modules, original, layers),
        "Forge": lambda: _forge(keys, modules, original),
        "ComfyUI": lambda: _comfyui(keys, modules, original),
        "InvokeAI": lambda: _invokeai(keys, modules, layers),
        "diffusers": lambda: _diffusers(keys, modules, layers),
    }
    return {program: by_program[program]() for program in READERS}


def _original_names(modules: Iterable[str], layers: int) -> dict[str, str]:
    """diffusers' path of each UNet module -> its path in the original UNet, by walking that UNet's construction."""
    unet = [module.removeprefix("unet.") for module in modules if module.startswith("unet.")]
    levels = 1 + max((int(n) for path in unet for n in re.findall(r"(?:down|up)_blocks\.(\d+)", path)), default=0)
    blocks: dict[str, str] = {"mid_block.resnets.0": "middle_block.0", "mid_block.resnets.1": "middle_block.2"}
    blocks["mid_block.attentions.0"] = "middle_block.1"
    position = 1  # 0 is the first convolution
    for level in range(levels):
        for layer in range(layers):
            blocks[f"down_blocks.{level}.resnets.{layer}"] = f"input_blocks.{position}.0"
            blocks[f"down_blocks.{level}.attentions.{layer}"] = f"input_blocks.{position}.1"
            position += 1
        blocks[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{position}.0.op"
        position += 1
    position = 0
    for level in range(levels):
        attends = any(path.startswith(f"up_blocks.{level}.attentions.") for path in unet)
        for layer in range(layers + 1):
            blocks[f"up_blocks.{level}.resnets.{layer}"] = f"output_blocks.{position}.0"
            blocks[f"up_blocks.{level}.attentions.{layer}"] = f"output_blocks.{position}.1"
            position += 1
        # The last layer of a level also enlarges: third in its list after an attention, else second.
        blocks[f"up_blocks.{level}.upsamplers.0.conv"] = f"output_blocks.{position - 1}.{2 if attends else 1}.conv"
    return {path: original for path in unet if (original := _in_blocks(path, blocks))}


def _in_blocks(path: str, blocks: Mapping[str, str]) -> str | None:
    if path in blocks:
        return blocks[path]
    found = re.match(r"((?:mid_block|(?:down|up)_blocks\.\d+)\.(?:resnets|attentions)\.\d+)\.(.+)", path)
    if not found or found[1] not in blocks:
        return None
    inner = found[2]
    if ".resnets." in found[1]:
        inner = dict(_RESNET_PARTS).get(inner, inner)
    return f"{blocks[found[1]]}.{inner}"


def _a1111(keys: Collection[str], modules: list[str], original: Mapping[str, str], layers: int) -> ReaderResult:
    # A1111 numbers modules of its own model: the UNet under diffusion_model, the encoders as 0 and 1, the second
    # of which is OpenCLIP's (resblocks, one attention module for q, k and v).
    places = {f"diffusion_model.{name}".replace(".", "_"): f"unet.{path}" for path, name in original.items()}
    for module in modules:
        encoder, _, path = module.partition(".")
        if encoder == "text_encoder":
            places["0_transformer_text_model_" + path.replace(".", "_")] = module
        elif encoder == "text_encoder_2" and (found := re.fullmatch(r"encoder\.layers\.(\d+)\.(\w+)\.(\w+)", path)):
            inner = {"fc1": "mlp_c_fc", "fc2": "mlp_c_proj"}.get(found[3], f"attn_{found[3]}")
            places[f"1_model_transformer_resblocks_{found[1]}_{inner}"] = module

    def place(name: str) -> str | None:
        key = _a1111_name(name, layers)
        if key in places:
            return places[key]
        if name.startswith("lora_unet"):
            return places.get(name.replace("lora_unet", "diffusion_model"))
        return places.get(name.replace("lora_te1_text_model", "0_transformer_text_model"))

    return _by_name(keys, place)


def _a1111_name(name: str, layers: int) -> str:
    count = layers + 1
    if found := re.fullmatch(r"lora_unet_(down|up)_blocks_(\d+)_(attentions|resnets)_(\d+)_(.+)", name):
        side, block, kind, layer, rest = found[1], int(found[2]), found[3], int(found[4]), found[5]
        if kind == "resnets":
            rest = dict(_RESNET_PARTS).get(rest, rest).replace(".", "_")
        index = count * block + layer + (1 if side == "down" else 0)
        return f"diffusion_model_{'input' if side == 'down' else 'output'}_blocks_{index}_{int(kind[0] == 'a')}_{rest}"
    if found := re.fullmatch(r"lora_unet_mid_block_(attentions|resnets)_(\d+)_(.+)", name):
        slot = 1 if found[1] == "attentions" else 2 * int(found[2])
        return f"diffusion_model_middle_block_{slot}_{dict(_RESNET_PARTS).get(found[3], found[3]).replace('.', '_')}"
    if found := re.fullmatch(r"lora_unet_down_blocks_(\d+)_downsamplers_0_conv", name):
        return f"diffusion_model_input_blocks_{count * (int(found[1]) + 1)}_0_op"
    if found := re.fullmatch(r"lora_unet_up_blocks_(\d+)_upsamplers_0_conv", name):
        # SD 1's place, which is not SDXL's: this is why diffusers' names lose a module in A1111.
        slot = 2 if int(found[1]) > 0 else 1
        return f"diffusion_model_output_blocks_{count * int(found[1]) + layers}_{slot}_conv"
    if found := re.fullmatch(r"lora_te2_text_model_encoder_layers_(\d+)_(.+)", name):
        inner = found[2].replace("mlp_fc1", "mlp_c_fc").replace("mlp_fc2", "mlp_c_proj").replace("self_attn", "attn")
        return f"1_model_transformer_resblocks_{found[1]}_{inner}"
    return name


def _comfyui(keys: Collection[str], modules: list[str], original: Mapping[str, str]) -> ReaderResult:
    places: dict[str, str] = {}
    for path, name in original.items():
        places["lora_unet_" + name.replace(".", "_")] = f"unet.{path}"
        places["lora_unet_" + path.replace(".", "_")] = f"unet.{path}"
    for module in modules:
        found = re.fullmatch(r"text_encoder(_2)?\.encoder\.layers\.(\d+)\.(self_attn\.\w+|mlp\.\w+)", module)
        if found and int(found[2]) < 32:
            encoder = "te2" if found[1] else "te1"
            places[f"lora_{encoder}_text_model_encoder_layers_{found[2]}_{found[3].replace('.', '_')}"] = module
    return _by_name(keys, places.get)


def _forge(keys: Collection[str], modules: list[str], original: Mapping[str, str]) -> ReaderResult:
    result = _comfyui(keys, modules, original)  # Forge carries ComfyUI's tables ...
    homeless = [key for key in keys if key.partition(".")[0] not in result.matched]
    if len(homeless) > _FORGE_TOLERATES:  # ... and adds a limit of its own
        reason = f"{len(homeless)} tensors without a place, {_FORGE_TOLERATES} are tolerated"
        return ReaderResult(result.matched, result.unmatched, reason)
    return result


def _invokeai(keys: Collection[str], modules: list[str], layers: int) -> ReaderResult:
    strange = [key for key in keys if not key.startswith(("lora_unet_", "lora_te1_", "lora_te2_"))]
    if strange:
        return ReaderResult({}, tuple(strange), f"a key of another prefix: {strange[0]}")
    prefixes = _invokeai_prefixes(layers)
    flat = {
        {"unet": "lora_unet_", "text_encoder": "lora_te1_text_model_", "text_encoder_2": "lora_te2_text_model_"}[
            module.partition(".")[0]
        ]
        + module.partition(".")[2].replace(".", "_"): module
        for module in modules
    }
    converted: dict[str, str] = {}
    counts = {True: 0, False: 0}
    for name in _names(keys):
        head = next((p for p in prefixes if name.startswith(f"lora_unet_{p}")), None)
        if name.startswith("lora_unet_"):
            counts[head is not None] += 1
        converted[name] = name.replace(head, prefixes[head], 1) if head else name
    if counts[True] and counts[False]:
        return ReaderResult({}, tuple(converted), "original and diffusers' block names in one file")
    return _by_name(keys, lambda name: flat.get(converted[name]))


def _invokeai_prefixes(layers: int) -> dict[str, str]:
    """Beginnings in original names -> beginnings in diffusers' names; longest first, so the closest one is taken."""
    table: dict[str, str] = {"middle_block_1": "mid_block_attentions_0"}
    heads = {"middle_block_0": "mid_block_resnets_0", "middle_block_2": "mid_block_resnets_1"}
    count = layers + 1
    for block in range(3):
        for layer in range(layers):
            heads[f"input_blocks_{count * block + layer + 1}_0"] = f"down_blocks_{block}_resnets_{layer}"
            table[f"input_blocks_{count * block + layer + 1}_1"] = f"down_blocks_{block}_attentions_{layer}"
        for layer in range(count):
            heads[f"output_blocks_{count * block + layer}_0"] = f"up_blocks_{block}_resnets_{layer}"
            table[f"output_blocks_{count * block + layer}_1"] = f"up_blocks_{block}_attentions_{layer}"
        table[f"input_blocks_{count * (block + 1)}_0_op"] = f"down_blocks_{block}_downsamplers_0_conv"
        table[f"output_blocks_{count * block + layers}_2"] = f"up_blocks_{block}_upsamplers_0"
    for head, ours in heads.items():
        for part, inner in _RESNET_PARTS:
            table[f"{head}_{inner.replace('.', '_')}"] = f"{ours}_{part}"
    return dict(sorted(table.items(), key=lambda item: -len(item[0])))


def _diffusers(keys: Collection[str], modules: list[str], layers: int) -> ReaderResult:
    ignored = tuple(key for key in keys if key.endswith(".dora_scale"))
    kept = [key for key in keys if key not in set(ignored)]
    strange = [key for key in kept if not key.startswith(("lora_unet_", "lora_te1_", "lora_te2_", "lora_te_"))]
    if strange:
        return ReaderResult({}, tuple(strange), f"a key that it cannot rename: {strange[0]}", ignored)
    numbered = _starting(kept, "lora_unet_input_blocks_", "lora_unet_middle_block_", "lora_unet_output_blocks_")
    named = _starting(kept, "lora_unet_down_blocks_", "lora_unet_mid_block_", "lora_unet_up_blocks_")
    if numbered and named:
        # It drops all original names then.
        kept = [key for key in kept if key.partition(".")[0] not in numbered]
    flat = {module.replace(".", "_"): module for module in modules}

    def place(name: str) -> str | None:
        if name.startswith("lora_unet_"):
            return flat.get("unet_" + _diffusers_blocks(name.removeprefix("lora_unet_"), layers))
        encoder, _, rest = name.partition("_text_model_")
        return flat.get(("text_encoder_2_" if encoder == "lora_te2" else "text_encoder_") + rest)

    result = _by_name(kept, place)
    lost = tuple(name for name in numbered if named)
    return ReaderResult(result.matched, result.unmatched + lost, "", ignored)


def _diffusers_blocks(name: str, layers: int) -> str:
    for part, inner in _RESNET_PARTS:
        name = re.sub(rf"_{inner.replace('.', '_')}$", f"_{part}", name)
    if found := re.fullmatch(r"middle_block_([012])_(.+)", name):
        place = ("resnets_0", "attentions_0", "resnets_1")[int(found[1])]
        return f"mid_block_{place}_{found[2]}"
    found = re.fullmatch(r"(input|output)_blocks_(\d+)_([012])_(.+)", name)
    if not found:
        return name
    side, index, slot, rest = found[1], int(found[2]), int(found[3]), found[4]
    block, layer = divmod(index - 1 if side == "input" else index, layers + 1)
    if side == "input" and "op" in rest:
        return f"down_blocks_{block}_downsamplers_0_conv"
    kind = ("resnets", "attentions", "upsamplers")[slot]
    layer = 0 if slot == 2 else layer
    return f"{'down' if side == 'input' else 'up'}_blocks_{block}_{kind}_{layer}_{rest}"


def _by_name(keys: Iterable[str], place: Callable[[str], str | None]) -> ReaderResult:
    matched: dict[str, str] = {}
    unmatched: list[str] = []
    for name in _names(keys):
        module = place(name)
        if module is None:
            unmatched.append(name)
        else:
            matched[name] = module
    return ReaderResult(matched, tuple(unmatched))


def _starting(keys: Iterable[str], *prefixes: str) -> set[str]:
    return {name for name in _names(keys) if name.startswith(prefixes)}


def _names(keys: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(key.partition(".")[0] for key in keys))


def _without_text_model(module: str) -> str:
    return re.sub(r"^(text_encoder(?:_2)?)\.text_model\.", r"\1.", module)
