"""One attribution for every meter of this process."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Mapping
from typing import Any

from carbonedge.carbon.energy import Attribution, Meter, open_meter
from carbonedge.carbon.energy.attribution import ShareBy, check_share_by

__all__ = ["shared_attribution"]

logger = logging.getLogger(__name__)

# One machine, one meter: two that count the same joules would give each to two works.
_attributions: weakref.WeakValueDictionary[tuple[ShareBy, object], Attribution] = (
    weakref.WeakValueDictionary()
)
_opening = threading.Lock()


def shared_attribution(
    meter: Meter | Attribution | str | Mapping[str, Any] | None, share_by: ShareBy
) -> Attribution | None:
    """The attribution of a meter, given in any of the ways of a `Monitor`: one and the same
    for all sessions of this process that name it, or are given it, and share it alike.

    Raises
    ------
    MeterUnavailableError
        If the meter is not to be had now.
    ValueError
        If a word or setting is not known.
    """
    if meter is None or isinstance(meter, Attribution):
        return meter
    with _opening:
        if not isinstance(meter, str | Mapping):
            # Its attribution keeps it, so that no other can have its id.
            return _shared((share_by, id(meter)), meter)
        settings = {"kind": meter} if isinstance(meter, str) else dict(meter)
        share_by = check_share_by(settings.pop("share_by", share_by))
        asked = (share_by, repr(sorted(settings.items())))
        attribution = _attributions.get(asked)
        if attribution is None:
            opened = open_meter(**settings)
            # What "auto" has chosen may have been opened by its own name before.
            named = (share_by, repr(sorted({**settings, "kind": opened.name}.items())))
            attribution = _attributions[asked] = _shared(named, opened)
            if attribution.meter is opened:
                weakref.finalize(attribution, opened.close)
            else:
                opened.close()
        return attribution


def _shared(key: tuple[ShareBy, object], meter: Meter) -> Attribution:
    """The attribution under a key, made of the meter if there is none."""
    attribution = _attributions.get(key)
    if attribution is None:
        others = {str(other) for other in _attributions.values()}
        attribution = _attributions[key] = Attribution(meter, by=key[0])
        if others:
            logger.warning(
                "this process counts energy by %s and by %s: what both cover is counted twice, "
                "unless sessions are given one Attribution",
                str(attribution),
                " and by ".join(sorted(others)),
            )
    return attribution
