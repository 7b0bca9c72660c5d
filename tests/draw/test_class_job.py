"""The job of class pictures: killed, stopped, short of disk, and shared between projects; every picture kept."""

from __future__ import annotations

import errno
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
from PIL import Image
from training_runs import events, forked

from engine.draw.class_job import run as draw_class_pictures
from engine.draw.class_plan import class_seed
from engine.draw.class_settings import ClassJob, job_text, same_run
from engine.draw.order import Order
from engine.draw.picture import draw_picture
from engine.draw.request import PictureRequest
from engine.plan import BaseChoice
from engine.runs.control import request
from engine.runs.folder import create_run
from engine.runs.job import run_job
from engine.runs.summary import read_summary


def orders_of(prompt, size, count):
    return [Order(prompt, size, class_seed(prompt, size, number), steps=2) for number in range(count)]


@pytest.fixture
def job(tiny_base):
    """Nine pictures in two shapes from two prompts."""
    wanted = orders_of("a dog at sea", (64, 64), 6) + orders_of("a dog", (80, 48), 3)
    return ClassJob("dog", BaseChoice(str(tiny_base)), tuple(wanted))


def new_job(settings, name="class"):
    return create_run(name, job_text(settings), kind="regularize")


def work(folder, before=lambda: None):
    """One attempt in a forked child, after `before` has changed the child's own modules."""

    def attempt():
        before()
        return run_job(folder, draw_class_pictures, verb="regularize")

    return forked(attempt)


def drawn(folder):
    return {path.name: path.read_bytes() for path in (folder.path / "pictures").iterdir()}


def kept(home: Path):
    return sorted(path for path in (home / "drawings").rglob("*.png") if not path.name.startswith("."))


def kill_at(call):
    """The n-th picture that comes to the store ends the process, as a power cut would, half-way through its file."""
    from engine.draw import class_job

    real, calls = class_job.save_png, []

    def deadly(pixels, path, text):
        calls.append(None)
        if len(calls) == call:
            Path(path).write_bytes(b"half a picture")
            os.kill(os.getpid(), signal.SIGKILL)
        real(pixels, path, text)

    class_job.save_png = deadly


def test_pictures_come_in_their_shapes_with_captions_parameters_and_a_contact_sheet(job, tiny_base, tmp_path):
    folder = new_job(job)
    assert work(folder) == 0
    names = sorted(name for name in drawn(folder) if name.endswith(".png"))
    assert [name.split("-")[1] for name in names] == ["64x64"] * 6 + ["80x48"] * 3
    for name in names:
        with Image.open(folder.path / "pictures" / name) as picture:
            assert f"-{picture.width}x{picture.height}-seed" in name
            prompt = (folder.path / "pictures" / name).with_suffix(".txt").read_text(encoding="utf-8").strip()
            assert picture.info["parameters"].startswith(f"{prompt}\nSteps: 2, Sampler: Euler")
    sheet = events(folder, "sample")[-1].get("files")[0]
    assert (folder.path / sheet).is_file()
    assert events(folder, "step")[-1].get("step") == events(folder, "step")[-1].get("steps") == 9

    order = job.orders[7]
    draw_picture(PictureRequest(order.prompt, tmp_path / "one.png", str(tiny_base), seed=order.seed, steps=2,
                                size=order.size))  # fmt: skip
    ours = next(folder.path / "pictures" / name for name in names if f"seed{order.seed}." in name)
    pixels = [numpy.asarray(Image.open(path).convert("RGB")).astype(int) for path in (ours, tmp_path / "one.png")]
    assert abs(pixels[0] - pixels[1]).max() <= 1, "the same as `lorasmith draw`"


def test_killed_and_resumed_it_has_every_picture_once_and_whole(job, own_home, monkeypatch):
    folder = new_job(job)
    assert work(folder, lambda: kill_at(4)) == -signal.SIGKILL
    assert read_summary(folder).status == "died" and len(kept(own_home)) == 3
    before = {path: path.stat().st_mtime_ns for path in kept(own_home)}
    assert work(folder) == 0
    assert events(folder, "plan")[-1].get("found") == 3
    assert {path: path.stat().st_mtime_ns for path in before} == before, "what was drawn is not drawn again"
    assert len(kept(own_home)) == 9

    monkeypatch.setenv("LORASMITH_HOME", str(own_home / "undisturbed"))
    whole = new_job(job)
    assert work(whole) == 0
    assert drawn(whole).keys() == drawn(folder).keys()
    for name, picture in drawn(folder).items():
        if name.endswith(".txt"):
            assert picture == drawn(whole)[name]
            continue
        one, other = (numpy.asarray(Image.open(run.path / "pictures" / name)).astype(int) for run in (folder, whole))
        assert abs(one - other).max() <= 1


def test_a_stop_keeps_what_is_drawn_and_a_second_project_takes_it(job, own_home):
    folder = new_job(job)

    def stop_after_two():
        from engine.draw import class_job

        real, calls = class_job.save_png, []

        def save(pixels, path, text):
            real(pixels, path, text)
            calls.append(None)
            if len(calls) == 2:
                request(folder, "stop")
                os.kill(os.getpid(), signal.SIGTERM)

        class_job.save_png = save

    assert work(folder, stop_after_two) == 4
    assert read_summary(folder).status == "stopped" and len(kept(own_home)) == 2

    other = new_job(replace(job, orders=tuple(orders_of("a dog at sea", (64, 64), 4))), "second")
    assert work(other) == 0
    assert events(other, "plan")[0].get("found") == 2 and len(kept(own_home)) == 4
    assert work(folder) == 0
    assert events(folder, "plan")[-1].get("found") == 4 and len(kept(own_home)) == 9
    third = new_job(job, "third")

    def no_drawing():
        from engine.base.load import Base

        Base.load_unet = None  # whatever would draw fails

    assert work(third, no_drawing) == 0
    assert drawn(third).keys() == drawn(folder).keys()


def test_a_full_disk_is_said_and_the_pictures_before_it_are_kept(job, own_home):
    folder = new_job(job)

    def disk_full_at_three():
        from engine.draw import class_job

        real, calls = class_job.save_png, []

        def save(pixels, path, text):
            calls.append(None)
            if len(calls) == 3:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            real(pixels, path, text)

        class_job.save_png = save

    assert work(folder, disk_full_at_three) == 1
    assert "the disk is full" in read_summary(folder).reason
    assert len(kept(own_home)) == 2 and work(folder) == 0 and len(kept(own_home)) == 9

    def tiny_disk():
        import shutil
        from collections import namedtuple

        usage = namedtuple("usage", "total used free")
        shutil.disk_usage = lambda _: usage(10**9, 10**9 - 1000, 1000)

    fresh = new_job(replace(job, orders=tuple(orders_of("a cat", (64, 64), 2))), "fresh")
    assert work(fresh, tiny_disk) == 1
    assert "make room" in read_summary(fresh).reason


def test_a_base_that_is_gone_and_a_size_it_cannot_draw_are_said(job, tmp_path):
    gone = new_job(replace(job, base=BaseChoice(str(tmp_path / "gone.safetensors"))), "gone")
    assert work(gone) == 1
    assert "gone.safetensors" in read_summary(gone).reason
    odd = new_job(replace(job, orders=tuple(orders_of("a dog", (72, 64), 1))), "odd")
    assert work(odd) == 1
    assert "72x64 cannot be drawn" in read_summary(odd).reason


def test_the_run_of_the_same_job_is_found_again_by_its_name_too(job):
    first, second = new_job(job, "reg"), new_job(job, "reg-more")
    assert same_run(job).path in (first.path, second.path)
    assert same_run(job, "reg").path == first.path and same_run(job, "reg-more").path == second.path
    assert same_run(job, "other") is None
    assert same_run(replace(job, class_prompt="another class"), "reg") is None
