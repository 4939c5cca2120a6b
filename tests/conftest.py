"""What holds for the whole suite."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)  # speed is measured in benchmarks/, on a machine that is not busy
settings.load_profile("unhurried")
