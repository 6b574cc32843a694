"""The machine under a training: device, threads, memory, random numbers, provenance.

Every effect on the whole process stands here and nowhere else.
"""

import ctypes
import os
import platform
import subprocess
import sys
from datetime import date

import torch

from fer_utils import INSTALLED, ROOT


def pick_device() -> torch.device:
    """The fastest device at hand: CUDA, Apple's MPS, or the CPU."""
    second = "mps" if torch.backends.mps.is_available() else "cpu"
    return torch.device("cuda" if torch.cuda.is_available() else second)


def prepare() -> None:
    """Set what makes a training fast and changes nothing else, for the whole process.

    TF32 for matrix products on a GPU. On Linux, the C library keeps freed memory for the next
    step: a step on a CPU frees and allocates the same hundreds of megabytes again and again, and
    mapped and zeroed anew each time they cost a fifth to a third of the whole training.
    """
    torch.set_float32_matmul_precision("high")
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if hasattr(library, "mallopt"):  # glibc has it, musl has not
        for option, value in ((-4, 0), (-1, 2**31 - 1)):  # M_MMAP_MAX, M_TRIM_THRESHOLD
            library.mallopt(option, value)


def seed_everything(seed: int, epoch: int = 0) -> None:
    """Start torch's random numbers, on every device, for a network (epoch 0) or an epoch from 1 on.

    Each epoch has a stream of its own, so a resumed training needs no stored state. 100,003 is a
    prime larger than any number of epochs here: no two pairs of seed and epoch share a stream.
    """
    torch.manual_seed(seed * 100_003 + epoch if epoch else seed)


def provenance(device: torch.device) -> dict:
    """Where a training runs, as JSON values: date, device, machine, threads, versions, revision.

    revision: of the clone, as `git describe --always --dirty` has it; None without one or git.
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    host = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    place = {"date": date.today().isoformat(), "device": name, "machine": host}
    place |= {"threads": torch.get_num_threads(), "revision": None if INSTALLED else revision()}
    return place | {"versions": {"python": platform.python_version(), "torch": torch.__version__}}


def revision() -> str | None:
    """What `git describe --always --dirty` says of this repository; None without git."""
    command = "git describe --always --dirty --exclude=*"  # a shell says what is not there, too
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() or None
