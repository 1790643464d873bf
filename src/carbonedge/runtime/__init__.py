"""Model deployer: how a plan runs."""

from __future__ import annotations

from carbonedge.runtime.session import InferenceSession

__all__ = ["InferenceSession"]
