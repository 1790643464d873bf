from __future__ import annotations

import onnxruntime

from carbonedge.runtime.threads import taking_turns

ENTRY = "session.force_spinning_stop"


def test_threads_of_stages_rest_between_their_runs() -> None:
    assert taking_turns(None).get_session_config_entry(ENTRY) == "1"
    options = onnxruntime.SessionOptions()
    assert taking_turns(options) is options
    assert taking_turns(options).get_session_config_entry(ENTRY) == "1"


def test_what_the_user_chose_stays() -> None:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(ENTRY, "0")
    assert taking_turns(options).get_session_config_entry(ENTRY) == "0"
