"""Where a worker says that its metrics are."""

from __future__ import annotations

import pytest

from routec.runtime.config import Observability
from routec.runtime.policies.status import metrics_address


@pytest.mark.parametrize(
    ("observability", "address"),
    [
        (Observability(), "http://127.0.0.1:9464"),
        (Observability(host="0.0.0.0", port=9465), "http://box:9465"),
        (Observability(host="::"), "http://box:9464"),
        (Observability(host="::1"), "http://[::1]:9464"),
        (Observability(host="worker-1.example"), "http://worker-1.example:9464"),
        (Observability(port=0), None),
        (Observability(metrics=False), None),
    ],
)
def test_the_address_is_one_that_others_find(
    observability: Observability, address: str | None
) -> None:
    assert metrics_address(observability, "box") == address
