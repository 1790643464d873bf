"""The order of operators: of all that the graph permits, one with small boundaries.

The file's own order stays unless another keeps clearly less alive. Two are tried, both
in time near linear in the graph: branch by branch from the outputs, the branch that
needs most room first (Sethi and Ullman, 1970); and greedily, whichever operator leaves
least alive next.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Links", "carried", "file_order", "small_order"]

CLEARLY = 0.95
"""Share of the file order's that another must stay below."""


@dataclass(frozen=True, slots=True)
class Links:
    """What an operator reads and writes, constants left out, each name once."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]


def file_order(links: Sequence[Links]) -> list[int] | None:
    """The first topological order by position in the file; ``None`` for a cycle."""
    waits, readers = _dependencies(links)
    ready = [number for number, count in enumerate(waits) if not count]
    heapq.heapify(ready)
    order = []
    while ready:
        number = heapq.heappop(ready)
        order.append(number)
        for reader in readers[number]:
            waits[reader] -= 1
            if not waits[reader]:
                heapq.heappush(ready, reader)
    return order if len(order) == len(links) else None


def small_order(links: Sequence[Links], sizes: Mapping[str, float]) -> list[int]:
    """An order that carries little over its cuts, the file's unless another is better.

    Parameters
    ----------
    links
        Of each operator, in a topological order.
    sizes
        Of tensors, in any unit; 0 where one is not known.
    """
    best = list(range(len(links)))
    least = carried(links, sizes, best)
    for order in (_branch_by_branch(links, sizes), _greedy(links, sizes)):
        total = carried(links, sizes, order)
        if total < CLEARLY * least:
            best, least = order, total
    return best


def carried(links: Sequence[Links], sizes: Mapping[str, float], order: Iterable[int]) -> float:
    """Sum over all cuts of what crosses them."""
    born: dict[str, int] = {}
    last: dict[str, int] = {}
    for position, number in enumerate(order):
        last.update(dict.fromkeys(links[number].reads, position))
        born.update(dict.fromkeys(links[number].writes, position))
    return sum(
        sizes.get(name, 0.0) * (position - born.get(name, 0)) for name, position in last.items()
    )


def _dependencies(links: Sequence[Links]) -> tuple[list[int], list[list[int]]]:
    """How many others each waits for, and who waits for it."""
    producers = {name: number for number, link in enumerate(links) for name in link.writes}
    waits = [0] * len(links)
    readers: list[list[int]] = [[] for _ in links]
    for number, link in enumerate(links):
        for producer in {producers[name] for name in link.reads if name in producers}:
            waits[number] += 1
            readers[producer].append(number)
    return waits, readers


def _branch_by_branch(links: Sequence[Links], sizes: Mapping[str, float]) -> list[int]:
    producers = {name: number for number, link in enumerate(links) for name in link.writes}
    needs: list[float] = []
    branches: list[list[int]] = []
    for link in links:
        own = sum(sizes.get(name, 0.0) for name in link.writes)
        before = dict.fromkeys(producers[name] for name in link.reads if name in producers)
        results = {
            number: sum(
                sizes.get(name, 0.0) for name in link.reads if producers.get(name) == number
            )
            for number in before
        }
        ordered = sorted(before, key=lambda number: results[number] - needs[number])
        kept, need = 0.0, 0.0
        for number in ordered:
            need = max(need, kept + needs[number])
            kept += results[number]
        needs.append(max(need, kept + own))
        branches.append(ordered)
    read = {producers[name] for link in links for name in link.reads if name in producers}
    ends = [number for number in range(len(links)) if number not in read]
    return _post_order(branches, ends)


def _post_order(branches: Sequence[Sequence[int]], ends: Iterable[int]) -> list[int]:
    order: list[int] = []
    entered = [False] * len(branches)
    for end in ends:
        stack = [(end, iter(branches[end]))]
        entered[end] = True
        while stack:
            number, rest = stack[-1]
            following = next((branch for branch in rest if not entered[branch]), None)
            if following is None:
                order.append(number)
                stack.pop()
            else:
                entered[following] = True
                stack.append((following, iter(branches[following])))
    return order


def _greedy(links: Sequence[Links], sizes: Mapping[str, float]) -> list[int]:
    waits, readers = _dependencies(links)
    unread: dict[str, int] = {}
    read_by: dict[str, list[int]] = {}
    for number, link in enumerate(links):
        for name in link.reads:
            unread[name] = unread.get(name, 0) + 1
            read_by.setdefault(name, []).append(number)
    reached = [0] * len(links)
    done = [False] * len(links)
    ready: list[tuple[float, int, int]] = []

    def offer(number: int) -> None:
        link = links[number]
        made = sum(sizes.get(name, 0.0) for name in link.writes if name in unread)
        freed = sum(sizes.get(name, 0.0) for name in link.reads if unread[name] == 1)
        # Of equals the one that goes on where the last operator left off.
        heapq.heappush(ready, (made - freed, -reached[number], number))

    for number, count in enumerate(waits):
        if not count:
            offer(number)
    order: list[int] = []
    while ready:
        number = heapq.heappop(ready)[2]
        if done[number]:
            continue
        done[number] = True
        order.append(number)
        for reader in readers[number]:
            waits[reader] -= 1
            reached[reader] = len(order)
            if not waits[reader]:
                offer(reader)
        for name in links[number].reads:
            unread[name] -= 1
            if unread[name] == 1:
                # Its last reader is the one that frees it now.
                [last] = [reader for reader in read_by[name] if not done[reader]]
                if not waits[last]:
                    offer(last)
    return order
