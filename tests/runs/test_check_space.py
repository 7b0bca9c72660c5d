"""Room on a disk, asked for before the work begins."""

from __future__ import annotations

import shutil
from collections import namedtuple

import pytest

from engine.errors import LorasmithError
from engine.files import check_space

Usage = namedtuple("Usage", "total used free")


def test_what_does_not_fit_is_refused_with_the_figures_and_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(1e9, 7e8, 3e8))
    check_space(tmp_path, 3e7, "The plot takes", "name fewer values")
    with pytest.raises(LorasmithError, match="The plot takes about 40 MB in .*, where 300 MB are free and 268 MB"):
        check_space(tmp_path, 4e7, "The plot takes", "name fewer values")

    with pytest.raises(LorasmithError, match="about 6.9 GB in "):
        check_space(tmp_path, 6.94e9, "The plot takes", "name fewer values")


def test_where_nothing_is_wanted_nothing_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(1e9, 1e9, 0))
    check_space(tmp_path, 0, "The plot takes", "name fewer values")
    with pytest.raises(LorasmithError, match="about 1 MB .* where 0 MB are free"):
        check_space(tmp_path, 2e4, "2 pictures take", "make room")
