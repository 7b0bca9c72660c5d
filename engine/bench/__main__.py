"""`python -P -m engine.bench [--json] [--real] [--out FILE [--force]]`: the engine's side of `lorasmith bench`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from engine.environment import prepare_environment
from engine.errors import LorasmithError, shown
from engine.files import check_free, check_writable, write_atomic


def main() -> int:
    """Measures and prints; exit code 1 with a sentence where it could not."""
    parser = argparse.ArgumentParser(prog="lorasmith bench")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--real", action="store_true", help="SDXL's real shape too, on a CUDA device")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--force", action="store_true", help="overwrite FILE")
    asked = parser.parse_args()
    prepare_environment()
    import torch

    from engine.bench.drawing import measure_drawing
    from engine.bench.figures import as_object, lines
    from engine.bench.small import measure_small

    def report(what: str) -> None:
        print(f"measuring: {what}", file=sys.stderr, flush=True)

    try:
        if asked.out:
            check_free(asked.out, force=asked.force)
            check_writable(asked.out.parent)
        if asked.real and not torch.cuda.is_available():
            raise LorasmithError("The real shape is measured on a CUDA device, and torch sees none here.")
        figures = measure_small(report) + measure_drawing(report)
        tables: dict[str, object] = {}
        if asked.real:
            from engine.bench.real import measure_real

            tables = measure_real(report)
    except LorasmithError as error:
        print(shown(error), file=sys.stderr)
        return 1
    result = json.dumps(as_object(figures, tables), indent=2)
    if asked.out:
        write_atomic(asked.out, result + "\n")
    print(result if asked.json else "\n".join([*lines(figures), *_table(tables)]))
    return 0


def _table(tables: dict[str, object]) -> list[str]:
    rows = tables.get("real_shape")
    if not isinstance(rows, list):
        return []
    head = f"{'batch':>5} {'checkpointing':>13} {'s/step':>8} {'img/s':>7} {'MFU spec':>8} {'peak GB':>8}"
    text = [f"SDXL's real shape, 1024 px, rank 32 (matrix product: {tables['matmul_tflops']} TFLOP/s)", head]
    for row in rows:
        share = f"{row['mfu_of_spec']:.1%}" if row["mfu_of_spec"] is not None else "-"
        text.append(
            f"{row['batch']:>5} {'on' if row['checkpointing'] else 'off':>13} {row['seconds_a_step']:>8.3f} "
            f"{row['pictures_a_second']:>7.2f} {share:>8} {row['peak_gb']:>8.2f}"
        )
    return text


if __name__ == "__main__":
    sys.exit(main())
