"""What a run says of its data in the LoRA's metadata, and the manifest by which a resumed run knows its pictures."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from engine.errors import RunError, shown
from engine.files import write_atomic
from engine.train.examples import Example, Examples


def tag_frequency(examples: tuple[Example, ...]) -> dict[str, dict[str, int]]:
    """Comma-separated caption parts counted by folder, as kohya writes `ss_tag_frequency`."""
    by_folder: dict[str, Counter[str]] = {}
    for example in examples:
        folder = Path(example.picture.path).parent.name
        tags = [tag.strip() for tag in example.texts[0].split(",")]
        by_folder.setdefault(folder, Counter()).update(tag for tag in tags if tag)
    return {folder: dict(counts.most_common()) for folder, counts in by_folder.items()}


def bucket_info(examples: tuple[Example, ...]) -> dict[str, object]:
    """Pictures x repeats in each bucket, as kohya writes `ss_bucket_info`."""
    counts: Counter[tuple[int, int]] = Counter()
    for example in examples:
        counts[example.bucket] += example.picture.repeats or 1
    buckets = {
        str(index): {"resolution": list(shape), "count": count}
        for index, (shape, count) in enumerate(sorted(counts.items()))
    }
    return {"buckets": buckets}


def dataset_folders(examples: Examples) -> dict[str, dict[str, int]]:
    """Folder base names (never paths) with their repeats and picture counts, as `ss_dataset_dirs`."""
    folders: dict[str, dict[str, int]] = {}
    for example in examples.train:
        entry = folders.setdefault(
            Path(example.picture.path).parent.name,
            {"n_repeats": example.picture.repeats or 1, "img_count": 0},
        )
        entry["img_count"] += 1
    return folders


def keep_manifest(path: Path, examples: Examples) -> list[str]:
    """Remembers the run's pictures at its first start; on a resume, holds today's folder against them.

    Returns a warning for each kind of change that may go on (captions); raises RunError where the pictures
    themselves changed, since every later step would train something else than the plan's run.
    """
    now = {
        group: {e.picture.digest: list(e.texts) for e in getattr(examples, group)}
        for group in ("train", "classes", "held_out")
    }
    if not path.exists():
        write_atomic(path, json.dumps(now, ensure_ascii=True, indent=1))
        return []
    before = json.loads(path.read_text(encoding="utf-8"))
    names = {e.picture.digest: e.picture.name for e in examples.all}
    edited = 0
    for group, texts in now.items():
        added = [names[digest] for digest in texts.keys() - before[group].keys()]
        missing = len(before[group].keys() - texts.keys())
        if added or missing:
            first = f" (first new one: {shown(sorted(added)[0])})" if added else ""
            raise RunError(
                f"The pictures changed since this run started: {len(added)} new, {missing} gone{first}. "
                "Put them back to resume, or start a new run with the folder as it is now."
            )
        edited += sum(texts[digest] != before[group][digest] for digest in texts)
    if edited:
        return [f"{edited} captions were edited since this run started; the steps from here on use the new text."]
    return []
