from __future__ import annotations

import itertools
import time

import hard_models
import hypothesis.strategies as st
import onnx
import onnxruntime
from hypothesis import given

from carbonedge import load_model
from carbonedge.planning.order import Links, carried, file_order, small_order


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Links], dict[str, float]]:
    """Operators that read some of what came before, and sizes of what they write."""
    links, sizes = [], {"x": draw(st.integers(0, 9)) * 1.0}
    for number in range(draw(st.integers(1, 12))):
        reads = draw(st.lists(st.sampled_from(sorted(sizes)), max_size=3, unique=True))
        writes = [f"t{number}_{k}" for k in range(draw(st.integers(1, 2)))]
        links.append(Links(tuple(reads), tuple(writes)))
        sizes |= {name: float(draw(st.integers(0, 9))) for name in writes}
    return links, sizes


def is_topological(links: list[Links], order: list[int]) -> bool:
    made = {name for link in links for name in link.writes}
    there: set[str] = set()
    for number in order:
        if any(name in made and name not in there for name in links[number].reads):
            return False
        there.update(links[number].writes)
    return sorted(order) == list(range(len(links)))


@given(graphs())
def test_a_small_order_is_topological_and_carries_no_more_than_the_files(
    graph: tuple[list[Links], dict[str, float]],
) -> None:
    links, sizes = graph
    order = small_order(links, sizes)
    assert is_topological(links, order)
    assert carried(links, sizes, order) <= carried(links, sizes, range(len(links)))
    assert small_order(links, sizes) == order


@given(graphs(), st.randoms(use_true_random=False))
def test_any_shuffling_is_sorted_again(
    graph: tuple[list[Links], dict[str, float]], random: object
) -> None:
    links, _ = graph
    random.shuffle(links)  # type: ignore[attr-defined]
    order = file_order(links)
    assert order is not None
    assert is_topological(links, order)


def test_what_is_in_order_stays_so_and_a_cycle_has_none() -> None:
    chain = [Links(("x",), ("a",)), Links(("a",), ("b",)), Links(("x",), ("c",))]
    assert file_order(chain) == [0, 1, 2]
    assert file_order([Links(("b",), ("a",)), Links(("a",), ("b",))]) is None


def test_what_is_carried_is_the_sum_over_the_cuts() -> None:
    graph = load_model(hard_models.hard_model("Scan that captures"))
    links = [
        Links(tuple(n for n in op.inputs if n in graph.tensors), op.outputs)
        for op in graph.operators
    ]
    sizes = {name: tensor.mb for name, tensor in graph.tensors.items()}
    total = carried(links, sizes, range(len(links)))
    assert total == sum(cut.mb for cut in graph.cuts[1:-1])


def test_a_branch_is_finished_before_the_next_begins() -> None:
    # Row by row, as the file has them, all eight branches are alive at once.
    graph = load_model(hard_models.branches(count=8, depth=4))
    names = [operator.outputs[0] for operator in graph.operators]
    firsts = [name.split("_")[0].lstrip("ts") for name in names[:-1]]
    assert len([a for a, b in itertools.pairwise(firsts) if a != b]) == 7
    assert max(cut.mb for cut in graph.cuts) <= 2 * 16 * 16 * 4 / 1e6 + 8 * 4 / 1e6


def test_an_order_is_the_same_model() -> None:
    graph = load_model(hard_models.branches(count=3, depth=3))
    onnx.checker.check_model(graph.proto)
    onnxruntime.InferenceSession(graph.proto.SerializeToString())


def test_time_grows_with_the_operators_and_not_with_their_square() -> None:
    def best_s(count: int) -> float:
        model = hard_models.branches(count=count, depth=9)
        times = []
        for _ in range(3):
            # Of this process alone, whatever else the machine does.
            began = time.process_time()
            load_model(model)
            times.append(time.process_time() - began)
        return min(times)

    small, large = best_s(100), best_s(800)
    # Eight times as many operators: a square would take 64 times as long.
    assert large < 24 * small
