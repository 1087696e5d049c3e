"""How all benchmarks measure: one thread, A B A B, medians with their spread, and memory as the kernel counts it."""

import ctypes
import gc
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Measured:
    """Seconds of a repeated piece of work: median, lowest, highest, number of repetitions."""

    median: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, seconds: Iterable[float]) -> "Measured":
        values = sorted(seconds)
        return cls(statistics.median(values), values[0], values[-1], len(values))

    def text(self, *, factor: float = 1.0, digits: int = 3) -> str:
        """The median, and lowest and highest in brackets, each times a factor."""
        median, low, high = (f"{value * factor:.{digits}f}" for value in (self.median, self.low, self.high))
        return median if self.n == 1 else f"{median} ({low}-{high})"


def pin_one_thread() -> None:
    """One processor and one thread for everything in this process, also for libraries that are loaded later."""
    os.environ.update(ONE_THREAD)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(1)


def interleaved(work: Mapping[str, Callable[[], object]], *, rounds: int, warm: int = 1) -> dict[str, Measured]:
    """Run every piece of work in turn, round after round, so that a slower moment of the machine hits all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for number in range(warm + rounds):
        for name, call in work.items():
            started = time.perf_counter()
            call()
            if number >= warm:
                seconds[name].append(time.perf_counter() - started)
    return {name: Measured.of(values) for name, values in seconds.items()}


def _peak_child(make: Callable[..., Callable[[], object]], arguments: tuple[Any, ...], sender: Any) -> None:
    pin_one_thread()
    call = make(*arguments)
    call()  # what is made once (optimiser state, caches) is none of a call's
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # memory that was freed, and that the allocator holds, would hide the peak
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again at what is resident now
    call()
    sender.send(_status("VmHWM") - before)


def _status(field: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field + ":"))
    return int(line.split()[1]) * 1024


def added_peak_bytes(make: Callable[..., Callable[[], object]], *arguments: Any) -> int:
    """How much resident memory a call adds at its peak, in a fresh process.

    Args:
        make: Called first, with ``arguments``. The call that it returns is made twice; the second one is measured.
        arguments: Picklable.
    """
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_peak_child, args=(make, arguments, sender))
    process.start()
    sender.close()
    try:
        peak: int = receiver.recv()
    finally:
        process.join()
    return peak


def matmul_peak() -> dict[str, float]:
    """Measured GFLOP/s of large matrix products on one thread, as a linear layer asks for them, by type."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    gflops = {}
    for dtype in (torch.float32, torch.bfloat16):
        a, b = torch.randn(1024, 1536).to(dtype), torch.randn(1536, 1536).to(dtype)
        times = []
        for _ in range(6):
            started = time.perf_counter()
            a @ b.T
            times.append(time.perf_counter() - started)
        gflops[str(dtype).removeprefix("torch.")] = 2 * 1024 * 1536 * 1536 / min(times) / 1e9
    torch.set_num_threads(threads)
    return gflops


def machine() -> dict[str, Any]:
    """The machine that is measured on: processor, memory, load, versions, peak GFLOP/s."""
    import torch

    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = {"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()}
    capability = torch.backends.cpu.get_cpu_capability()
    load = os.getloadavg()[0]
    return {
        "processor": name,
        "instructions": capability,
        "bf16": bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()),
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "load": round(load, 2),
        "matmul_gflops": {name: round(value, 1) for name, value in matmul_peak().items()},
        "versions": versions,
    }


def write_result(path: Path | None, name: str, result: Mapping[str, Any]) -> None:
    """Keep a benchmark's figures, with the machine and the date, as JSON."""
    if path is None:
        return
    content = {"benchmark": name, "date": time.strftime("%Y-%m-%d"), "machine": machine(), **result}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, default=asdict) + "\n", encoding="utf-8")
