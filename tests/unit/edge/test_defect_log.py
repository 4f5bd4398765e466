"""Defects are logged, but not as often as a client likes."""

from __future__ import annotations

import logging

import pytest

from swell.edge.gateway.defect_log import DefectLog


def test_a_defect_is_logged_with_its_traceback_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    times = iter((0.0, 1.0, 59.0, 60.0, 61.0, 200.0))
    defects = DefectLog(logging.getLogger("swell.edge"), now=lambda: next(times))
    for _ in range(6):
        defects.add("a request could not be handled", LookupError("as a defect would"))
    said = [(record.getMessage(), record.exc_info is not None) for record in caplog.records]
    assert said == [
        ("a defect in the edge: a request could not be handled", True),
        ("a defect in the edge: a request could not be handled (2 more were not logged)", True),
        ("a defect in the edge: a request could not be handled (1 more were not logged)", True),
    ]
