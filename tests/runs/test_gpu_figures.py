"""The graphics card's figures, with a stand-in for the driver: the machines that test have none."""

from __future__ import annotations

import sys
from dataclasses import asdict
from types import SimpleNamespace

import pytest

from engine.runs.events import EventLog
from engine.runs.folder import RunFolder
from engine.runs.gpu import GpuWatch, find_card, read_card
from engine.runs.job import Job

pynvml = pytest.importorskip("pynvml")
UUID = "7a1b"


class Driver:
    """Answers as NVML does; what is not given is not supported."""

    nvmlMemory_v2 = pynvml.nvmlMemory_v2
    NVML_TEMPERATURE_GPU = pynvml.NVML_TEMPERATURE_GPU
    NVMLError = pynvml.NVMLError

    def __init__(self, uuid: str = f"GPU-{UUID}", **answers: object) -> None:
        self.uuid = uuid
        self.answers = answers

    def nvmlInit(self) -> None:
        if "init" in self.answers:
            raise self.NVMLError(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        if uuid != self.uuid:
            raise self.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return "card"

    def __getattr__(self, name: str):
        def answer(card: str, *_: object) -> object:
            if name not in self.answers:
                raise self.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
            return self.answers[name]

        return answer


def whole_driver() -> Driver:
    return Driver(
        nvmlDeviceGetMemoryInfo=SimpleNamespace(used=5 << 30, total=24 << 30),
        nvmlDeviceGetUtilizationRates=SimpleNamespace(gpu=97),
        nvmlDeviceGetTemperature=71,
        nvmlDeviceGetPowerUsage=349_960,
        nvmlDeviceGetCurrentClocksThrottleReasons=pynvml.nvmlClocksEventReasonSwPowerCap
        | pynvml.nvmlClocksEventReasonHwThermalSlowdown
        | pynvml.nvmlClocksEventReasonSwThermalSlowdown
        | pynvml.nvmlClocksEventReasonGpuIdle,
    )


def test_a_card_that_says_everything() -> None:
    reading = read_card(whole_driver(), "card")

    assert (reading.used, reading.limit, reading.utilisation) == (5 << 30, 24 << 30, 97)
    assert (reading.temperature, reading.power) == (71, 350.0)
    assert reading.throttled == ("power cap", "too hot")


def test_a_card_that_says_nothing() -> None:
    assert set(asdict(read_card(Driver(), "card")).values()) == {None}


def test_a_slice_of_a_card_is_found_too() -> None:
    assert find_card(Driver(uuid=f"MIG-{UUID}"), UUID) == "card"
    with pytest.raises(pynvml.NVMLError):
        find_card(Driver(uuid="GPU-other"), UUID)


def torch_with_card() -> SimpleNamespace:
    cuda = SimpleNamespace(is_initialized=lambda: True, get_device_properties=lambda index: SimpleNamespace(uuid=UUID))
    return SimpleNamespace(cuda=cuda)


def test_events_come_once_torch_uses_a_card(run: RunFolder, until, events_of, monkeypatch) -> None:
    job = Job(run, EventLog(run, attempt=1))
    monkeypatch.setitem(sys.modules, "pynvml", whole_driver())
    monkeypatch.delitem(sys.modules, "torch", raising=False)

    with GpuWatch(job, seconds=0.01):
        assert events_of(run, "gpu") == []
        monkeypatch.setitem(sys.modules, "torch", torch_with_card())
        until(lambda: len(events_of(run, "gpu")) > 2)
    event = events_of(run, "gpu")[-1]
    assert event.fields == {
        "peak": 5 << 30,
        "used": 5 << 30,
        "limit": 24 << 30,
        "utilisation": 97,
        "temperature": 71,
        "power": 350.0,
        "throttled": ["power cap", "too hot"],
    }


def test_without_a_driver_there_are_no_figures_and_no_fuss(run: RunFolder, until, monkeypatch) -> None:
    job = Job(run, EventLog(run, attempt=1))
    monkeypatch.setitem(sys.modules, "pynvml", Driver(init="fails"))
    monkeypatch.setitem(sys.modules, "torch", torch_with_card())

    with GpuWatch(job, seconds=0.01) as watch:
        until(lambda: not watch.running, "the thread has ended by itself")
    assert run.events.read_bytes() == b""
