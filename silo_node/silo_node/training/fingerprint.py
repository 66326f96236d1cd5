"""The execution fingerprint: what decides, beside study and records, which bits a training ends with.

A training that was cut off goes on only where it would have gone on with the same bits. The fingerprint never leaves
the hospital.
"""

from __future__ import annotations

import hashlib
import os
import platform
from importlib.metadata import version
from pathlib import Path

import torch

from silo_node.training.execution import Execution
from wardround.values import Count, Sha256, Value

SETTINGS = ("ATEN_", "DNNL_", "KMP_", "MKL_", "OMP_", "ONEDNN_", "OPENBLAS_")
"""How the names of environment settings begin that choose kernels or threads."""
PROCESSORS = Path("/proc/cpuinfo")
MODEL = "model name"


class Fingerprint(Value):
    """Versions, build, processor, threads and settings of one trainer's process.

    Attributes:
        build: digest of how torch was built.
        capability: the instruction set that torch chose.
        threads, interop_threads: torch's own.
        settings: environment settings as ``NAME=VALUE``, sorted.
        device: where it is computed; of a GPU its name, capability, and the versions of CUDA and cuDNN.
        micro_batch: how many examples at once, at most; None: batches are not cut.
    """

    python: str
    torch: str
    numpy: str
    monai: str
    build: Sha256
    processor: str
    capability: str
    threads: Count
    interop_threads: Count
    settings: tuple[str, ...]
    deterministic: bool
    device: str = "cpu"
    micro_batch: Count | None = None

    def differences(self, other: Fingerprint) -> tuple[str, ...]:
        """Name what is not the same."""
        return tuple(name for name in type(self).model_fields if getattr(self, name) != getattr(other, name))


def take_fingerprint(execution: Execution | None = None) -> Fingerprint:
    """Describe this process as it is now, and how it carries out a training (on the processor in whole batches, if not said)."""
    execution = execution or Execution()
    return Fingerprint(
        python=platform.python_version(),
        torch=torch.__version__,
        numpy=version("numpy"),
        monai=version("monai"),
        build=hashlib.sha256(torch.__config__.show().encode()).hexdigest(),
        processor=_processor(),
        capability=torch.backends.cpu.get_cpu_capability(),
        threads=torch.get_num_threads(),
        interop_threads=torch.get_num_interop_threads(),
        settings=tuple(sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith(SETTINGS))),
        deterministic=torch.are_deterministic_algorithms_enabled(),
        device=_device(execution.device),
        micro_batch=execution.micro_batch,
    )


def _device(device: torch.device) -> str:
    if device.type == "cpu":
        return "cpu"
    found, cudnn = torch.cuda.get_device_properties(device), torch.backends.cudnn.version()
    return f"{found.name}, capability {found.major}.{found.minor}, CUDA {torch.version.cuda}, cuDNN {cudnn}"


def _processor() -> str:
    """Name the processor's model; where the system does not tell it so, by Python's own word for it."""
    try:
        lines = PROCESSORS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith(MODEL))
    return next(named, platform.processor() or platform.machine())
