from __future__ import annotations

import onnxruntime
import pytest

from carbonedge.runtime.turns import taking_turns

ENTRIES = ("session.force_spinning_stop", "session.use_env_allocators")


@pytest.mark.parametrize("entry", ENTRIES)
def test_threads_rest_and_memory_is_shared_between_turns(entry: str) -> None:
    assert taking_turns(None).get_session_config_entry(entry) == "1"
    options = onnxruntime.SessionOptions()
    assert taking_turns(options) is options
    assert taking_turns(options).get_session_config_entry(entry) == "1"


@pytest.mark.parametrize("entry", ENTRIES)
def test_what_the_user_chose_stays(entry: str) -> None:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(entry, "0")
    assert taking_turns(options).get_session_config_entry(entry) == "0"


def test_without_an_arena_none_is_shared() -> None:
    options = onnxruntime.SessionOptions()
    options.enable_cpu_mem_arena = False
    with pytest.raises(RuntimeError):
        taking_turns(options).get_session_config_entry(ENTRIES[1])
