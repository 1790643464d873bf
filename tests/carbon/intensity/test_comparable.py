from __future__ import annotations

import pytest

from carbonedge.carbon.intensity.comparable import check_comparable
from carbonedge.carbon.intensity.signal import Intensity

AVERAGE = Intensity(100, "DE", "maps", "actual")
MARGINAL = Intensity(700, "US", "watts", "forecast", "marginal")
DIRECT = Intensity(200, "UK", "grid", "actual", factors="direct")


def test_intensities_of_one_sort_compare_whatever_their_kind_and_source() -> None:
    check_comparable([])
    check_comparable([AVERAGE, Intensity(1, "FR", "me", "static")])


@pytest.mark.parametrize("other", [MARGINAL, DIRECT])
def test_different_sorts_do_not_compare_unless_asked_for(other: Intensity) -> None:
    with pytest.raises(ValueError, match="do not compare"):
        check_comparable([AVERAGE, other])
    check_comparable([AVERAGE, other], mixed=True)


def test_the_error_says_which_zones_are_of_which_sort_and_what_to_do() -> None:
    with pytest.raises(ValueError, match="do not compare") as error:
        check_comparable([AVERAGE, MARGINAL, AVERAGE])
    assert str(error.value) == (
        "these intensities do not compare: average lifecycle: 'DE' (maps); marginal lifecycle: "
        "'US' (watts). Take one sort for all zones, or set mixed=True"
    )
