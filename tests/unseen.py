"""Keys that must never be shown, and a look at all ways by which an error could."""

from __future__ import annotations

import base64
import pickle
import traceback
from collections.abc import Callable

import pytest

from carbonedge.exceptions import IntensityUnavailableError

KEY = "k3y-Never-To-Be-Shown"
USER = "us3r-never-to-be-shown"
PASSWORD = "pass'w0rd\\never to be shown"
TOKEN = "t0ken-never-to-be-shown"
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
SECRETS = (KEY, USER, PASSWORD, TOKEN, BASIC)


def shown(text: str) -> list[str]:
    """Which keys stand in a text, as they are or as repr has them."""
    forms = {form for secret in SECRETS for form in (secret, repr(secret)[1:-1])}
    return [form for form in forms if form in text]


def failing(call: Callable[[], object], *, echoed: bool = False) -> str:
    """The message of an IntensityUnavailableError that shows no key by any way there is.

    Where a provider says a key back among its values (`echoed`), local variables hold those.
    """
    with pytest.raises(IntensityUnavailableError) as caught:
        call()
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 700
    whole = "".join(traceback.format_exception(caught.value))
    assert not shown(whole), whole
    assert not any(secret.encode() in pickle.dumps(caught.value) for secret in SECRETS)
    error: BaseException | None = caught.value
    while error is not None:
        assert not shown(f"{error} {error!r} {error.args} {vars(error)}")
        frames = traceback.StackSummary.extract(
            traceback.walk_tb(error.__traceback__), capture_locals=True
        )
        for frame in frames:
            if "/carbonedge/" in frame.filename and not echoed:
                assert not shown(f"{frame.locals}"), f"{frame}: {frame.locals}"
        error = error.__cause__ or error.__context__
    return message
