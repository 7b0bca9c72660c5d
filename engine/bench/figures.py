"""One measured figure, and how figures are printed and written down."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass

from engine import __version__


@dataclass(frozen=True)
class Figure:
    """`value` in `unit`; `goal` is what it should be, in words, empty where there is none."""

    name: str
    value: float
    unit: str
    goal: str = ""
    remark: str = ""


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    return {
        "device": device,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "lorasmith": __version__,
    }


def lines(figures: list[Figure]) -> list[str]:
    """Plain text of at most 80 columns, a figure a line with its goal and remark below it."""
    text = []
    for figure in figures:
        text.append(f"{figure.name:<52} {figure.value:>10.4g} {figure.unit}")
        if figure.goal:
            text.append(f"    goal: {figure.goal}")
        if figure.remark:
            text.append(f"    {figure.remark}")
    return text


def as_object(figures: list[Figure], tables: dict[str, object]) -> dict[str, object]:
    """The same for a program."""
    return {"machine": machine(), "figures": [asdict(figure) for figure in figures], **tables}
