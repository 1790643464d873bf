from __future__ import annotations

import subprocess
from pathlib import Path

from carbonedge.runtime.local_cluster.processes import kill, living


def test_what_wrote_its_title_over_its_mark_is_known_by_the_files_it_has_open(
    tmp_path: Path,
) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    started = []
    for folder, title in ((ours, "ray::Agent"), (theirs, "ray::Agent"), (ours, "tail")):
        folder.mkdir(exist_ok=True)
        with (folder / "log").open("w") as log:
            started.append(
                subprocess.Popen([title, "60"], executable="/bin/sleep", env={}, stdout=log)
            )
    agent, *others = started
    try:
        assert [one.pid for one in living(ours)] == [agent.pid]
        assert kill(ours, lambda: ()) == 1
        assert agent.wait(timeout=10) < 0
        assert [one.poll() for one in others] == [None, None]
    finally:
        for process in started:
            process.kill()
            process.wait()
