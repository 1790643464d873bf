from __future__ import annotations

import json
import os
import shlex

import pytest
import ray_machines  # noqa: F401 - one token for every Ray of this process
from local_clusters import CLUSTER, run_folder

from carbonedge import ClusterError
from carbonedge.runtime.local_cluster.record import Record
from carbonedge.runtime.ray.connection import Connection, resource, start_line


@pytest.mark.parametrize("node", ["pi-1", 'it\'s "uni" $HOME [b]x[/b]', "rack 1: a/b=c"])
def test_a_shell_reads_a_start_line_as_it_was_meant(node: str) -> None:
    words = shlex.split(start_line(node, "head:6379"))
    assert words[:3] == ["ray", "start", "--address=head:6379"]
    assert json.loads(words[3].removeprefix("--resources=")) == {f"carbonedge:{node}": 1}


def test_no_resource_has_a_comma_or_other_than_ascii_and_no_two_nodes_the_same() -> None:
    # Ray takes a comma for the end of the name, and waits.
    nodes = ["a,b", "a%2Cb", "a%b", "ab", "ünï", "%C3%BCn%C3%AF"]
    resources = [resource(node) for node in nodes]
    assert "," not in "".join(resources)
    assert "".join(resources).isascii()
    assert len(set(resources)) == len(nodes)


@pytest.mark.parametrize(
    "address",
    ["", "local", "head", "head:", "head:abc", ":6379", "head:0", "head:65536", "ray://head:1"],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="neither 'auto' nor HOST:PORT"):
        Connection(address)


@pytest.mark.parametrize("address", ["auto", "127.0.0.1:1"])
def test_what_is_left_of_a_local_cluster_is_said_to_be(address: str) -> None:
    before = {name: os.environ.get(name) for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}
    with run_folder() as folder:
        its = folder / "ce012345"
        its.mkdir()
        Record(its, 7, True, CLUSTER, "secret", address="127.0.0.1:1").write()
        said = r"local cluster at '127.0.0.1:1' does not answer: .*`carbonedge cluster down`"
        with pytest.raises(ClusterError, match=said):
            Connection(address)
    assert {name: os.environ.get(name) for name in before} == before
