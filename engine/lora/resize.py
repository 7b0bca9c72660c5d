"""`lorasmith resize`: a LoRA with fewer ranks, keeping the directions that carry most of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from engine import __version__
from engine.errors import LorasmithError, shown
from engine.lora.file import Factors
from engine.lora.rewrite import (
    Progress,
    Rewritten,
    check_target,
    read_source,
    usual_precision,
    write_verified,
)
from engine.lora.spectrum import spectrum
from engine.plan import FilePrecision

# kohya's arguments that say a rank or an alpha of some modules; after a cut none of them holds.
_BLOCKWISE = ("block_dims", "block_alphas", "conv_block_dims", "conv_block_alphas")


def resize(
    source: Path, to: Path, *, rank: int | None = None, keep: float | None = None,
    precision: FilePrecision | None = None, force: bool = False, progress: Progress = lambda done, total: None,
) -> Rewritten:  # fmt: skip
    """Writes `source` with at most `rank` ranks a module, or the fewest that keep this share of each update's norm.

    With both, `rank` is the most that `keep` may ask for, as in kohya's resize_lora. The scale (alpha / rank) of every
    module stays what it was, so its alpha falls with its rank. A module of fewer ranks stays as it is. DoRA's
    magnitudes stay: they belong to the direction's length, which is taken anew. Raises LorasmithError.
    """
    if rank is None and keep is None:
        raise LorasmithError("Say what to resize to: --rank 16, or --keep 0.95.")
    if rank is not None and rank < 1:
        raise LorasmithError(f"The rank {rank} is no rank: give a whole number from 1 up.")
    if keep is not None and not 0 < keep <= 1:
        raise LorasmithError(f"--keep {keep:g} is no share: give a number above 0 and up to 1, such as 0.95.")
    target = check_target(to, [Path(source)], force)
    file, notes = read_source(source)
    precision = precision or usual_precision([file])
    modules: dict[str, Factors] = {}
    worst = 0.0  # the largest share that one module loses; no part's error can exceed it but by rounding
    for done, (name, factors) in enumerate(file.modules.items()):
        progress(done, len(file.modules))
        modules[name], lost = resized(factors, rank, keep)
        worst = max(worst, lost)
    if all(modules[name].rank == factors.rank for name, factors in file.modules.items()):
        highest = max(file.ranks)
        wanted = f"at most {rank}" if rank is not None else f"to keep {keep:.0%}"
        raise LorasmithError(
            f"There is nothing to do: {shown(file.path.name)} has rank {highest}, and {wanted} was asked for."
        )
    metadata = _metadata(file.metadata, modules, max(file.ranks), rank, keep)
    meant = {name: (factors,) for name, factors in file.modules.items()}
    return write_verified(target, modules, meant, precision, metadata, worst, notes)


def resized(factors: Factors, rank: int | None, keep: float | None) -> tuple[Factors, float]:
    """One module with fewer ranks, and the share of its update's norm that was cut off."""
    found = spectrum(factors.down, factors.up)
    wanted = factors.rank if keep is None else found.rank_for(keep)
    wanted = min(wanted, factors.rank if rank is None else rank, len(found.values))
    if wanted >= factors.rank:
        return factors, 0.0
    down, up = found.factors(wanted)
    made = replace(factors, down=down, up=up, alpha=factors.scale * wanted)
    return made, max(0.0, 1 - found.kept(wanted) ** 2) ** 0.5


def _metadata(
    before: Mapping[str, str], modules: Mapping[str, Factors], old: int, rank: int | None, keep: float | None
) -> dict[str, str]:
    """The file's own metadata, with rank, alpha and comment as kohya's tool writes them; stale hashes are dropped."""
    kept = {key: value for key, value in before.items() if key != "modelspec.hash_sha256"}
    kept |= _network_args(before.get("ss_network_args", ""), modules)
    comment = before.get("ss_training_comment", "")
    if keep is None:
        dim, alpha = str(rank), _common(factors.alpha for factors in modules.values())
        what = f"dimension is resized from {old} to {rank} by lorasmith {__version__}"
    else:
        dim = alpha = "Dynamic"
        what = f"dynamic resize with sv_fro: {keep:g} from {old} by lorasmith {__version__}"
    said = f"{what}; {comment}" if comment else what
    return {**kept, "ss_network_dim": dim, "ss_network_alpha": alpha, "ss_training_comment": said}


def _network_args(before: str, modules: Mapping[str, Factors]) -> dict[str, str]:
    """kohya's `ss_network_args` with what holds of the ranks and alphas now; nothing where it said nothing readable."""
    try:
        args = json.loads(before)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(args, dict):
        return {}
    wide = [factors for factors in modules.values() if factors.down.shape[2:] not in {(), (1, 1)}]
    now = {
        "conv_dim": _common(factors.rank for factors in wide),
        "conv_alpha": _common(factors.alpha for factors in wide),
    }
    # The written alphas hold rsLoRA's scale already, so that it is alpha / rank as in any other file.
    stale = {*_BLOCKWISE, "rs_lora", *(() if wide else now)}
    said = {key: now.get(key, value) for key, value in args.items() if key not in stale}
    return {"ss_network_args": json.dumps(said, ensure_ascii=False)}


def _common(values: Iterable[float]) -> str:
    """The one value that all have, else kohya's word for several."""
    found = {f"{value:g}" for value in values}
    return found.pop() if len(found) == 1 else "Dynamic"
