"""What holds for the whole suite."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# A machine may reach the net through a proxy, and a peer's SDK would ask that for our loopback servers.
for variable in ("NO_PROXY", "no_proxy"):
    os.environ[variable] = ",".join(filter(None, ["127.0.0.1,localhost", os.environ.get(variable)]))

# Speed is measured in benchmarks/, on a machine that is not busy.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
