"""Has the base draw the words that the bank lacks, and a reader look at them. Needs torch."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import torch
from PIL import Image, UnidentifiedImageError

from engine.base.load import Base
from engine.draw.artist import draw_orders, drawing_device, drawing_dtype, encode_orders, placed_on, usual_batch
from engine.draw.order import Order
from engine.draw.store import model_id
from engine.errors import LorasmithError, shown
from engine.lookalike.bank import Bank, Recipe
from engine.lookalike.readers import Reader
from engine.lookalike.settings import LookalikeJob
from engine.runs.job import Job, Stopped

_TELL_SECONDS = 1.0
Shot = tuple[str, int]  # a word and the number of its picture

# Two neutral prompts for each way of looking; `{}` is the word.
TEMPLATES: dict[bool, tuple[str, str]] = {
    True: ("photo of {}", "portrait photo of {}, outdoors"),
    False: ("photo of {}", "a {}"),
}


def recipe_of(spec: LookalikeJob, base: Base) -> Recipe:
    """How this job's pictures are drawn; jobs of one recipe share a bank."""
    model = model_id(base, drawing_dtype(drawing_device(), base))
    return Recipe(model, TEMPLATES[spec.by_face], spec.size or base.native_resolution, spec.steps, spec.cfg)


def draw_missing(
    job: Job,
    base: Base,
    bank: Bank,
    shots: Sequence[Shot],
    *,
    stage: str,
    drawn: Callable[[Shot], None] = lambda shot: None,
) -> None:
    """Draws those of `shots` that the bank lacks, in their order; tells `drawn` of each as it is kept.

    A stop ends it after the batch at hand (Stopped), what is drawn stays. Nothing is loaded where nothing is
    missing. OSError (disk full) passes on.
    """
    missing = [shot for shot in dict.fromkeys(shots) if not bank.has_picture(*shot)]
    done = len(shots) - len(missing)
    job.stage(stage, done, len(shots))
    if not missing:
        return
    recipe = bank.recipe
    size = (recipe.size, recipe.size)
    orders = {
        Order(recipe.prompt(word, number), size, number, steps=recipe.steps, cfg=recipe.cfg): (word, number)
        for word, number in missing
    }
    device = drawing_device()
    dtype = drawing_dtype(device, base)
    job.stage("reading the words")
    encoders = base.load_text_encoders(dtype)
    with placed_on(device, *encoders):
        prompts = encode_orders(base.tokenizers(), encoders, list(orders))
    del encoders
    gc.collect()
    job.stage("loading the base")
    unet, vae = base.load_unet(dtype, device), base.load_vae(torch.float32, device)
    job.stage(stage, done, len(shots))
    brake = _Brake(job)
    for order, pixels in draw_orders(
        base, unet, vae, prompts, list(orders), batch=usual_batch(device, base), between_steps=brake.between,
        said=job.warn,
    ):  # fmt: skip
        brake.new_batch = True
        shot = orders[order]
        bank.keep_picture(*shot, Image.fromarray(pixels))
        done += 1
        brake.tell(done, len(shots))
        drawn(shot)
    job.stage(stage, done, len(shots))


class _Brake:
    """Ends the drawing between two batches, or between two steps where it must stop at once; tells its pace."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.new_batch = True
        self._told = 0.0

    def tell(self, done: int, total: int) -> None:
        """The count as steps, which gives rate and time left; once for the pictures of a batch, which come together."""
        if time.monotonic() - self._told > _TELL_SECONDS or done == total:
            self._told = time.monotonic()
            self.job.event("step", step=done, steps=total)

    def between(self) -> None:
        stop = self.job.poll().stop
        if stop == "now" or (stop and self.new_batch):
            raise Stopped
        self.new_batch = False


def look(job: Job, bank: Bank, reader: Reader, words: Sequence[str], numbers: Sequence[int], *, stage: str) -> None:
    """Has the reader look at the drawings of words that it has not seen yet; each word is kept as it is done."""
    for done, word in enumerate(words):
        if job.poll().stop:
            raise Stopped
        job.stage(stage, done, len(words))
        if bank.seen(reader.name, word, numbers) is not None:
            continue
        vectors = {}
        for number in numbers:
            vector = reader.read(_kept(bank, word, number))
            if vector is not None:
                vectors[number] = vector
        bank.keep_seen(reader.name, word, numbers, vectors)
    job.stage(stage, len(words), len(words))


def _kept(bank: Bank, word: str, number: int) -> Image.Image:
    """A drawing of the bank; one that cannot be read is removed, so that the next start draws it anew."""
    path = bank.picture_path(word, number)
    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except (OSError, UnidentifiedImageError, SyntaxError) as error:
        with suppress(OSError):
            path.unlink()
        raise LorasmithError(
            f"The drawing {shown(path)} could not be read and was removed: resume the run, which draws it again."
        ) from error
