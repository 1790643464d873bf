"""The trees of the fallback's node table: what ``cpp/src/forest.cpp`` does."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from carbonedge import _kernels as k

__all__ = ["Demand", "Forest", "Tree"]

Demand = tuple[float, float]
"""CPU and memory in quanta."""

MOST_TREES = 8
MOST_SIGHTINGS = 32
SCANS_PER_TREE = 3


class Tree:
    """The arrays of one tree, as the kernels take them."""

    __slots__ = ("arrays", "changed", "last_use", "outdated")

    def __init__(self, demand: Demand, num_blocks: int) -> None:
        sizes = [-(-num_blocks // k.LANES)]
        while sizes[-1] > 1:
            sizes.append(-(-sizes[-1] // k.LANES))
        levels = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
        outlook = np.zeros(k.NUM_OUTLOOK)
        outlook[k.CPU], outlook[k.MEMORY] = demand
        groups = np.empty((int(levels[-1]), k.NUM_ROWS, k.LANES))
        scratch = np.empty((3 * len(sizes) + 1, k.LANES))
        self.arrays = (groups, levels, np.empty(k.NUM_SUMMARIES), outlook, scratch)
        self.changed: set[int] = set()
        self.outdated = False
        self.last_use = 0


class Forest:
    """A tree for each of the demands that come often.

    Parameters
    ----------
    plant, refresh
        The kernels of those names.
    """

    __slots__ = ("_now", "_plant", "_refresh", "_sightings", "_trees")

    def __init__(self, plant: Callable[..., None], refresh: Callable[..., None]) -> None:
        self._plant = plant
        self._refresh = refresh
        self._trees: OrderedDict[Demand, Tree] = OrderedDict()  # the last used last
        self._sightings: dict[Demand, tuple[int, int]] = {}
        self._now = 0

    def find(self, blocks: k.Floats, num_blocks: int, demand: Demand, tasks: int) -> Tree | None:
        """The tree for so many tasks of this demand, up to date, or None while the demand
        is too rare to pay for one.
        """
        self._now += 1
        if demand in self._trees:
            return self._use(blocks, num_blocks, demand)
        if self._trees and not self._deserves_tree(demand, tasks):
            return None
        return self._made(blocks, num_blocks, demand)

    def find_below(self, blocks: k.Floats, num_blocks: int, demand: Demand) -> Tree:
        """A tree, up to date, of a demand no greater than this."""
        for known in reversed(self._trees):
            if known[0] <= demand[0] and known[1] <= demand[1]:
                return self._use(blocks, num_blocks, known)
        return self._made(blocks, num_blocks, (0.0, 0.0))

    def touch(self, blocks: k.Floats, index: int) -> None:
        """Tell that a block has changed."""
        trees = reversed(self._trees.values())
        # The tree in use is kept ready, so that the next decision need not wait for it.
        for tree in trees:
            if not tree.outdated:
                self._refresh(blocks, *tree.arrays, index)
            break
        for tree in trees:
            tree.changed.add(index)

    def outdate(self) -> None:
        """Tell that all blocks have changed."""
        for tree in self._trees.values():
            tree.outdated = True

    def clear(self) -> None:
        self._trees.clear()
        self._sightings.clear()

    def _use(self, blocks: k.Floats, num_blocks: int, demand: Demand) -> Tree:
        tree = self._trees[demand]
        if tree.outdated:
            return self._made(blocks, num_blocks, demand)
        tree.last_use = self._now
        for index in tree.changed:
            self._refresh(blocks, *tree.arrays, index)
        tree.changed.clear()
        self._trees.move_to_end(demand)
        return tree

    def _made(self, blocks: k.Floats, num_blocks: int, demand: Demand) -> Tree:
        if self._trees.pop(demand, None) is None and len(self._trees) == MOST_TREES:
            self._trees.popitem(last=False)
        tree = Tree(demand, num_blocks)
        tree.last_use = self._now
        self._plant(blocks, num_blocks, *tree.arrays)
        self._trees[demand] = tree
        return tree

    def _deserves_tree(self, demand: Demand, tasks: int) -> bool:
        full = len(self._trees) == MOST_TREES
        since = next(iter(self._trees.values())).last_use if full else 0
        first, count = self._sightings.pop(demand, (self._now, 0))
        if first < since:
            first, count = self._now, 0
        count += tasks
        if count > SCANS_PER_TREE:
            return True
        if len(self._sightings) == MOST_SIGHTINGS:
            del self._sightings[next(iter(self._sightings))]
        self._sightings[demand] = (first, count)
        return False
