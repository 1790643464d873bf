from __future__ import annotations

import logging
import sys
import threading

import models
import onnxruntime
import pytest
from ticking_meter import TickingMeter

from carbonedge.carbon.energy import Attribution, Portion
from carbonedge.runtime.metering import Gauge, new_threads


def test_a_gauge_takes_what_is_drawn_within() -> None:
    gauge = Gauge(Attribution(TickingMeter()), [], 1.0)
    portions: list[Portion | None] = []
    for _ in range(2):
        with gauge.measuring(portions):
            pass
    assert portions == [Portion(cpu_j=1.0)] * 2


def test_without_a_meter_there_is_nothing_to_take() -> None:
    portions: list[Portion | None] = []
    with Gauge(None, [], 1.0).measuring(portions):
        pass
    assert portions == [None]


def test_a_stage_that_fails_is_over_for_the_meter_too() -> None:
    attribution = Attribution(TickingMeter())
    gauge = Gauge(attribution, [], 1.0)
    with pytest.raises(ZeroDivisionError), gauge.measuring([]):
        1 / 0  # noqa: B018
    portions: list[Portion | None] = []
    with gauge.measuring(portions):
        pass
    assert portions == [Portion(cpu_j=1.0)]  # alone again


def test_a_meter_that_fails_is_said_once_and_nothing_else_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    meter = TickingMeter()
    gauge = Gauge(Attribution(meter), [], 1.0)
    portions: list[Portion | None] = []
    with caplog.at_level(logging.WARNING):
        with gauge.measuring(portions):
            meter.broken = True
        for _ in range(3):
            with gauge.measuring(portions):
                pass
    assert portions == [None] * 4
    (record,) = caplog.records
    assert "node power x time instead: the meter is unplugged" in record.message
    meter.broken = False
    with gauge.measuring(portions):
        pass
    assert portions[-1] is not None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process its threads")
def test_the_threads_of_a_session_are_found() -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 3
    with new_threads() as threads:
        session = onnxruntime.InferenceSession(models.layers().SerializeToString(), options)
    assert len(threads) == 2  # the caller is the third
    assert threading.get_native_id() not in threads
    with new_threads() as none:
        pass
    assert none == []
    del session
