"""OpenVINO, imported so that it stays offline: everyone here gets it from this module."""

import sys

# On import OpenVINO reports its use to a web service, from a forked process. Not with us.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
import openvino as ov  # noqa: E402

__all__ = ["ov"]
