"""Converted models in the user's cache, with the result of their check."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from headlight.encoders.base import Encoder
from headlight.encoders.offline_openvino import ov
from headlight.engines.base import cpu_count

FORMAT = 4
UNUSED_SECONDS = 60 * 24 * 3600
# Who had a hand in the graph: none of it is reused after one of them changed.
MAKERS = ("headlight-images", "openvino", "torch", "transformers", "timm")


class ModelCache:
    """One encoder's converted model in the user's cache.

    Arguments:
        encoder: its name, weights and input size are part of the key.
        core: identifies the processor; models converted on another one are not used.
    """

    def __init__(self, encoder: Encoder, core: ov.Core) -> None:
        key = [FORMAT, encoder.name, encoder.weights_hash, encoder.input_size, processor(core)]
        key += [f"{name} {_version(name)}" for name in MAKERS]
        digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
        readable = re.sub(r"[^\w.-]+", "-", encoder.name)[-60:].strip("-.")
        self._folder = user_cache_path("headlight") / "openvino" / f"{readable}-{digest}"
        self._verdict = self._folder / "verdict.json"
        self.model = self._folder / "model.xml"
        """The converted model; its weights are in ``model.bin``."""

    def blobs(self, precision: str) -> Path:
        """Where OpenVINO may keep what it compiled."""
        return self._folder / f"{precision}-{cpu_count()}"

    def verdict(self, asked: str) -> dict[str, str] | None:
        """``precision`` the model agreed with PyTorch in, or its ``fault``; None: not known.

        Arguments:
            asked: the precision asked for, or ``auto``.
        """
        found = self._verdicts().get(asked)
        if not isinstance(found, dict):
            return None
        usable = "fault" in found or (self.model.exists() and "precision" in found)
        with contextlib.suppress(OSError):
            os.utime(self._verdict)  # in use: see `_drop_unused`
        return found if usable else None

    def _verdicts(self) -> dict[str, Any]:
        try:
            verdicts = json.loads(self._verdict.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return verdicts if isinstance(verdicts, dict) else {}

    def judge(self, asked: str, verdict: dict[str, str]) -> None:
        """Add the verdict, if the disk allows; a model that is always wrong need not be kept."""
        with contextlib.suppress(OSError):
            verdicts = self._verdicts() | {asked: verdict}
            if all("fault" in one for one in verdicts.values()):
                shutil.rmtree(self._folder)
                self._folder.mkdir()
            temporary = self._verdict.with_suffix(f".{os.getpid()}.tmp")
            temporary.write_text(json.dumps(verdicts), "utf-8")
            temporary.replace(self._verdict)

    def save(self, model: ov.Model) -> None:
        """Write the model: whole or not at all.

        Raises:
            OSError, RuntimeError: it can't be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._drop_unused()
        for blobs in self._folder.glob("*-*"):
            shutil.rmtree(blobs)
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            file = Path(folder) / self.model.name
            ov.save_model(model, file, compress_to_fp16=False)
            # The weights first: whoever finds the .xml finds them.
            for suffix in (".bin", ".xml"):
                file.with_suffix(suffix).replace(self.model.with_suffix(suffix))

    def _drop_unused(self) -> None:
        """Delete models not used for two months: each is as large as its weights."""
        for entry in self._folder.parent.iterdir():
            with contextlib.suppress(OSError):
                verdict = entry / "verdict.json"
                used = (verdict if verdict.exists() else entry).stat().st_mtime
                if time.time() - used > UNUSED_SECONDS:
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def processor(core: ov.Core) -> str:
    """Model and instruction sets of the CPU, in one text."""
    known = [core.get_property("CPU", "FULL_DEVICE_NAME"), platform.machine()]
    known += sorted(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith(("model name", "flags", "Features")):
                known.append(line.partition(":")[2].strip())
            if not line:  # the first core speaks for all
                break
    return " ".join(known)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
