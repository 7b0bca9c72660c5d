"""Settings that libraries read once, when they are imported: every process of the engine sets them first."""

from __future__ import annotations

import logging
import os

_ENVIRONMENT = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "DIFFUSERS_VERBOSITY": "error",
    "TQDM_DISABLE": "1",  # libraries' own bars would fill the log; ours are events
    "TOKENIZERS_PARALLELISM": "false",
}
# Either name is a person's own setting. Ours goes by the second: torch before 2.9 knows no other, and 2.9.1
# ignores this option under the first (pytorch issue 183387). Some versions warn of it in the log.
_ALLOCATOR = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")


def prepare_environment() -> None:
    """Settings that libraries read when they are imported; what a person has set stays."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # bitsandbytes tells every CPU of a kernel it cannot download; nothing of ours uses that kernel.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    if not any(name in os.environ for name in _ALLOCATOR):
        os.environ["PYTORCH_CUDA_ALLOC_CONF"] = "expandable_segments:True"
