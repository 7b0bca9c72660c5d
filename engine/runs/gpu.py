"""What the graphics card is doing, written as `gpu` events every two seconds by a thread of its own."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.runs.job import Job

_SECONDS = 2.0
# nvmlClocksEventReasons*: only those that mean "slower than it could be"; idle and set clocks are not news.
_THROTTLES = {
    0x0000000000000004: "power cap",
    0x0000000000000008: "hardware slowdown",
    0x0000000000000020: "too hot",
    0x0000000000000040: "too hot",
    0x0000000000000080: "power brake",
}


@dataclass(frozen=True)
class GpuReading:
    """One look at a card; None = this card or driver does not say. Bytes, per cent, degrees C, watts."""

    used: int | None
    limit: int | None
    utilisation: int | None
    temperature: int | None
    power: float | None
    throttled: tuple[str, ...] | None


class GpuWatch:
    """Writes `gpu` events while the `with` block lasts, once torch uses a card; without one it does nothing.

    Which card is torch's to say (CUDA_VISIBLE_DEVICES reorders them), so it is asked for the card's UUID. It
    is looked up in sys.modules, never imported: this module stays light, and a job without torch pays
    nothing.
    """

    def __init__(self, job: Job, *, seconds: float = _SECONDS) -> None:
        self._job = job
        self._seconds = seconds
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> GpuWatch:
        if self._job.is_main:
            self._thread = threading.Thread(target=self._watch, name="gpu-watch", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)

    @property
    def running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _watch(self) -> None:
        while (uuid := torch_card()) is None:
            if self._end.wait(self._seconds):
                return
        try:
            import pynvml
        except ImportError:
            return
        try:
            pynvml.nvmlInit()
            card = find_card(pynvml, uuid)
        except pynvml.NVMLError:
            return  # no NVIDIA driver (ROCm), or a container that hides it: the run goes on without figures
        peak = 0
        while not self._end.is_set():
            reading = read_card(pynvml, card)
            peak = max(peak, reading.used or 0)
            self._job.event("gpu", peak=peak or None, **asdict(reading))
            self._end.wait(self._seconds)


def torch_card() -> str | None:
    """The UUID of the card this process's torch works on; None as long as torch or CUDA is not in use."""
    torch: Any = sys.modules.get("torch")
    # A module still being imported by the main thread has no `cuda` yet.
    cuda = getattr(torch, "cuda", None)
    started = getattr(cuda, "is_initialized", None)
    if cuda is None or started is None or not started():
        return None
    index = int(os.environ.get("LOCAL_RANK", "0"))
    return str(cuda.get_device_properties(index).uuid)


def find_card(nvml: ModuleType | Any, uuid: str) -> Any:
    """NVML's handle of the card that torch names without its prefix; NVMLError where there is none."""
    try:
        return nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
    except nvml.NVMLError:
        return nvml.nvmlDeviceGetHandleByUUID(f"MIG-{uuid}")


def read_card(nvml: ModuleType | Any, card: Any) -> GpuReading:
    """One reading. Each figure is asked for by itself: cards and drivers differ in what they support."""

    def asked(name: str, *arguments: object) -> Any:
        try:
            return getattr(nvml, name)(card, *arguments)
        except nvml.NVMLError:
            return None

    # Version 2 leaves out what the driver keeps for itself, so used + free = what a program can have.
    memory = asked("nvmlDeviceGetMemoryInfo", nvml.nvmlMemory_v2) or asked("nvmlDeviceGetMemoryInfo")
    rates = asked("nvmlDeviceGetUtilizationRates")
    power = asked("nvmlDeviceGetPowerUsage")
    reasons = asked("nvmlDeviceGetCurrentClocksThrottleReasons")
    words = None if reasons is None else [word for bit, word in _THROTTLES.items() if reasons & bit]
    return GpuReading(
        used=memory.used if memory else None,
        limit=memory.total if memory else None,
        utilisation=rates.gpu if rates else None,
        temperature=asked("nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU),
        power=round(power / 1000, 1) if power is not None else None,
        throttled=None if words is None else tuple(dict.fromkeys(words)),
    )
