"""A tiny base, built once for all tests of this room, and files that are nothing but a header."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

Shapes = Mapping[str, Sequence[int]]


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from engine.base.tiny import make_tiny_base

    return make_tiny_base(tmp_path_factory.mktemp("bases") / "tiny")


@pytest.fixture(scope="session")
def header_file() -> Callable[..., Path]:
    """Writes a .safetensors file of the given shapes; its data is a hole in the file and costs no disk."""

    def write(
        path: Path,
        shapes: Shapes,
        metadata: Mapping[str, str] | None = None,
        cut: int = 0,
        dtype: str = "F16",
    ) -> Path:
        header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
        end = 0
        for name, shape in shapes.items():
            start, end = end, end + 2 * math.prod(shape)
            header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
        raw = json.dumps(header).encode()
        with path.open("wb") as file:
            file.write(struct.pack("<Q", len(raw)) + raw)
            file.truncate(8 + len(raw) + end - cut)
        return path

    return write


@pytest.fixture(scope="session")
def sdxl_shapes() -> dict[str, tuple[int, ...]]:
    """The 2,515 tensors of sd_xl_base_1.0.safetensors: the modules' own and the two that nothing reads."""
    from engine.base.original_layout import real_shapes

    return {
        **real_shapes(),
        "conditioner.embedders.0.transformer.text_model.embeddings.position_ids": (1, 77),
        "conditioner.embedders.1.model.logit_scale": (),
    }
