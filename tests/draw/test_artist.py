"""Drawing in batches: a picture is the same whatever the batch, also when memory makes it smaller."""

from __future__ import annotations

import threading

import numpy
import pytest
import torch
from PIL import Image

from engine.base.load import open_base
from engine.draw import artist
from engine.draw.artist import draw_orders, encode_orders
from engine.draw.order import Order, drawing_key, parameters
from engine.draw.picture import draw_picture
from engine.draw.request import PictureRequest
from engine.draw.store import DrawingStore, model_id
from engine.errors import LorasmithError

ORDERS = [
    Order("a red apple", (64, 64), 1, steps=3),
    Order("a blue car", (64, 64), 2, steps=3),
    Order("a red apple", (48, 80), 3, steps=3),
    Order("a blue car", (64, 64), 4, steps=3),
    Order("a red apple", (64, 64), 5, steps=3, negative="blurred"),
]


@pytest.fixture(scope="module")
def parts(tiny_base):
    base = open_base(tiny_base)
    prompts = encode_orders(base.tokenizers(), base.load_text_encoders(torch.float32), ORDERS)
    return base, base.load_unet(torch.float32), base.load_vae(torch.float32), prompts


def drawn(parts, batch, **options):
    return dict(draw_orders(*parts, ORDERS, batch=batch, **options))


def farthest(one, other):
    return max(int(numpy.abs(one[order].astype(int) - other[order]).max()) for order in ORDERS)


def test_every_order_is_drawn_once_in_its_own_size_and_the_same_in_any_batch(parts):
    alone = drawn(parts, 1)
    assert {order: pixels.shape[1::-1] for order, pixels in alone.items()} == {o: o.size for o in ORDERS}
    assert len({pixels.tobytes() for pixels in alone.values()}) == len(ORDERS)
    for batch in (2, 3):
        assert farthest(drawn(parts, batch), alone) <= 1  # the last bit of a sum may round to the next grey


def test_a_batch_draws_what_lorasmith_draw_draws(parts, tiny_base, tmp_path):
    order = ORDERS[1]
    request = PictureRequest(order.prompt, tmp_path / "one.png", str(tiny_base), seed=order.seed, steps=order.steps)
    draw_picture(request)
    with Image.open(tmp_path / "one.png") as picture:
        pixels, text = numpy.asarray(picture.convert("RGB")), picture.info["parameters"]
    assert numpy.abs(pixels.astype(int) - drawn(parts, 3)[order]).max() <= 1
    base = parts[0]
    assert text == parameters(order, base_name=base.name, base_hash=base.hash)
    assert "Seed: 2, Size: 64x64" in text and "Steps: 3, Sampler: Euler, Schedule type: Automatic, CFG scale: 5" in text


def test_when_memory_runs_out_the_batch_is_halved_and_every_picture_still_comes(parts, monkeypatch):
    real, sizes, said = artist.draw_latents, [], []

    def small_card(unet, scheduler, prompts, negative, drawings, **options):
        sizes.append(len(drawings))
        if len(drawings) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(unet, scheduler, prompts, negative, drawings, **options)

    expected = drawn(parts, 1)
    monkeypatch.setattr(artist, "draw_latents", small_card)
    assert farthest(drawn(parts, 3, said=said.append), expected) == 0
    assert sizes == [3, 1, 1, 1, 1, 1] and said == [
        "3 pictures of 64x64 did not fit in memory at a time; going on with 1."
    ]


def test_one_picture_that_does_not_fit_is_said_in_a_sentence(parts, monkeypatch):
    def full_card(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(artist, "draw_latents", full_card)
    with pytest.raises(LorasmithError, match="One picture of 64x64 does not fit in memory"):
        drawn(parts, 1)


def test_a_decode_that_does_not_fit_is_done_in_tiles(parts, monkeypatch):
    tiles = []
    real = artist.decode

    def small_card(vae, latents):
        if not vae.use_tiling:
            raise torch.OutOfMemoryError("CUDA out of memory")
        tiles.append(len(latents))
        return real(vae, latents)

    monkeypatch.setattr(artist, "decode", small_card)
    try:
        assert len(drawn(parts, 2)) == len(ORDERS) == len(tiles)
    finally:
        parts[2].disable_tiling()


def test_the_store_keeps_a_drawing_under_everything_that_decides_it(parts, tmp_path):
    store = DrawingStore(model_id(parts[0], torch.float32), tmp_path / "store")
    order = ORDERS[0]
    assert not store.has(order)
    path = store.put(order, lambda to: to.write_bytes(b"picture"))
    assert store.has(order) and path.stat().st_mode & 0o777 == 0o444
    store.place(order, tmp_path / "one.png")
    store.place(order, tmp_path / "one.png")  # twice is as once
    assert (tmp_path / "one.png").samefile(path)
    others = [
        Order(order.prompt, order.size, order.seed + 1, steps=3), Order(order.prompt, (64, 48), 1, steps=3),
        Order(order.prompt, order.size, 1, steps=4), Order(order.prompt, order.size, 1, steps=3, cfg=6),
        Order(order.prompt, order.size, 1, steps=3, sampler="ddim"), ORDERS[1], ORDERS[4],
    ]  # fmt: skip
    keys = {drawing_key(one, store.model) for one in [order, *others]}
    assert len(keys) == len(others) + 1 and drawing_key(order, "another base") not in keys
    assert not any(store.has(one) for one in others)


@pytest.fixture
def side_by_side(parts, monkeypatch):
    """Draws a batch a picture, one after another and then two at a time; gives both and who drew the second time."""
    real, drew = artist.draw_latents, []
    together = threading.Barrier(2, timeout=60)

    def listening(*given, **options):
        drew.append(threading.current_thread())
        if len(drew) <= 2:
            together.wait()  # passes only if two are at work at the same time
        return real(*given, **options)

    monkeypatch.setattr(artist, "fit_at_once", lambda *_: 1)
    alone = drawn(parts, 1)
    monkeypatch.setattr(artist, "fit_at_once", lambda *_: 2)
    monkeypatch.setattr(artist, "draw_latents", listening)
    return alone, drew


def test_batches_side_by_side_are_what_they_are_one_after_another(parts, side_by_side):
    alone, drew = side_by_side
    asked = []
    both = drawn(parts, 1, between_steps=lambda: asked.append(threading.current_thread()))
    assert list(both) == list(alone) and farthest(both, alone) == 0
    # The three that can be drawn together on threads, what is alone in its group without; a stop is heard here only.
    assert len(set(drew[:3])) == 2 and threading.main_thread() not in drew[:3] and len(drew) == len(ORDERS)
    assert set(asked) == {threading.main_thread()}


def test_a_stop_ends_the_batches_side_by_side_before_their_last_step(parts, side_by_side):
    class Stop(Exception):
        pass

    steps = []

    def stop():
        if steps:
            raise Stop

    base, unet, vae, prompts = parts
    hook = unet.register_forward_hook(lambda *_: steps.append(1))
    try:
        with pytest.raises(Stop):
            orders = [Order("a red apple", (64, 64), seed, steps=200) for seed in range(4)]
            list(draw_orders(base, unet, vae, prompts, orders, batch=1, between_steps=stop))
        ended = len(steps)
    finally:
        hook.remove()
    assert 0 < ended < 200, "of four times two hundred"
    assert not [one for one in threading.enumerate() if one.name.startswith("in-order")]


def test_when_memory_runs_out_side_by_side_the_rest_comes_one_at_a_time_and_smaller(parts, monkeypatch):
    real, said = artist.draw_latents, []

    def small_memory(unet, scheduler, prompts, negative, drawings, **options):
        if len(drawings) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return real(unet, scheduler, prompts, negative, drawings, **options)

    monkeypatch.setattr(artist, "fit_at_once", lambda *_: 1)
    expected = drawn(parts, 1)
    monkeypatch.setattr(artist, "draw_latents", small_memory)
    monkeypatch.setattr(artist, "fit_at_once", lambda *_: 2)
    assert farthest(drawn(parts, 2, said=said.append), expected) == 0
    assert said == ["2 pictures of 64x64 did not fit in memory at a time; going on with 1."]
