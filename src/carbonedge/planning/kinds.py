"""Nodes that are of one kind, so that a search need not tell them apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ALIKE", "Kinds", "find_kinds", "without_bettered"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

ALIKE = 1e-9
"""Numbers that differ by no larger share are the same, computed in another way."""

_BLOCK = 1 << 18
_FEW = 16


@dataclass(frozen=True, slots=True, eq=False)
class Kinds:
    """Nodes by kind: two are of one kind when they could change places unnoticed.

    Parameters
    ----------
    members
        Positions of the nodes of each kind, rising.
    """

    members: tuple[tuple[int, ...], ...]

    @property
    def first(self) -> list[int]:
        """One node of each kind."""
        return [nodes[0] for nodes in self.members]

    @property
    def count(self) -> Integers:
        """Nodes of each kind."""
        return np.array([len(nodes) for nodes in self.members], dtype=np.int64)

    def least(self, of_nodes: Floats) -> Floats:
        """The least of a number of each node, [N], by kind."""
        starts = np.cumsum(self.count) - self.count
        return np.minimum.reduceat(of_nodes[np.concatenate(self.members)], starts)

    def between(self, links: Floats) -> Floats:
        """A number per link, [N, N], as one per pair of kinds; on the diagonal that of
        two nodes of the kind.
        """
        result = links[np.ix_(self.first, self.first)]
        for kind, nodes in enumerate(self.members):
            if len(nodes) > 1:
                result[kind, kind] = links[nodes[0], nodes[1]]
        return result


def find_kinds(of_nodes: Floats, of_links: tuple[Floats, ...], apart: int | None) -> Kinds:
    """Group nodes into kinds.

    All numbers of a node agree with those of the first of its kind up to a share of
    `ALIKE`, and so with those of any other of its kind up to twice that. Which node is
    the first goes by position, so that a row of nodes each a little unlike the one
    before is several kinds.

    Parameters
    ----------
    of_nodes
        All numbers of each node, shape [N, numbers].
    of_links
        All numbers of links, each of shape [N, N], 0 or above; diagonals are not looked at.
    apart
        A node that is of no kind but its own.
    """
    sums = _weighted_sums(of_nodes)
    in_order = np.sort(sums)
    if not np.any(_agree(in_order[1:], in_order[:-1])):
        return Kinds(tuple((node,) for node in range(len(of_nodes))))
    both_ways = [way for links in of_links for way in (links, links.T)]
    sums_of_links = [_sums_but_diagonal(way) for way in both_ways]
    kinds: list[tuple[int, ...]] = []
    left = np.arange(len(of_nodes))
    while len(left) > 0:
        first, others = int(left[0]), left[1:]
        # Few pass that are not alike: all numbers are looked at of few only.
        alike = _agree(sums[others], sums[first]) & (others != apart) & (first != apart)
        for way, (weights, of_way) in zip(both_ways, sums_of_links, strict=True):
            rivals = others[alike]
            if len(rivals) == 0:
                break
            there = of_way[first] + weights[first] * _finite(way[first, rivals])
            back = of_way[rivals] + weights[rivals] * _finite(way[rivals, first])
            alike[alike] = _agree(there, back)
        for some in _in_blocks(alike, of_nodes.shape[1] + len(of_nodes)):
            rivals = others[some]
            alike[some] = np.all(_agree(of_nodes[rivals], of_nodes[first]), axis=1)
            for way in both_ways:
                alike[some] &= _lead_alike(way, first, rivals)
        kinds.append((first, *others[alike].tolist()))
        left = others[~alike]
    return Kinds(tuple(kinds))


def _weighted_sums(numbers: Floats) -> Floats:
    """One number of each row, which agree where the rows do."""
    sizes = np.abs(numbers)
    largest = sizes.max(axis=0, initial=0.0)
    result: Floats = sizes @ (_weights(len(largest)) / np.where(largest > 0, largest, 1.0))
    return result


def _weights(count: int) -> Floats:
    """Numbers from 1 to 2, no two the same: multiples of the golden ratio."""
    weights: Floats = 1 + np.arange(count, dtype=np.float64) * ((math.sqrt(5) - 1) / 2) % 1
    return weights


def _sums_but_diagonal(links: Floats) -> tuple[Floats, Floats]:
    """Weights of targets, and the weighted sum of each node's links to all others."""
    weights = _weights(len(links))
    others = _finite(links)
    np.fill_diagonal(others, 0.0)
    return weights, others @ weights


def _finite(values: Floats) -> Floats:
    return np.where(np.isinf(values), 0.0, values)


def _agree(a: Floats, b: Floats) -> Booleans:
    """Whether numbers are the same but for rounding."""
    same: Booleans = np.equal(a, b)
    if not same.all():
        with np.errstate(invalid="ignore"):  # infinity is equal to itself, and to nothing else
            same |= np.abs(a - b) <= ALIKE * np.minimum(np.abs(a), np.abs(b))
    return same


def _in_blocks(which: Booleans, numbers_each: int) -> Iterator[Integers]:
    """Positions of those that are, so many at a time that their numbers take little room."""
    positions = np.flatnonzero(which)
    step = max(1, _BLOCK // numbers_each)
    for start in range(0, len(positions), step):
        yield positions[start : start + step]


def _lead_alike(links: Floats, first: int, others: Integers) -> Booleans:
    """Whether the links of nodes to any third one, and to the first, are as those from it."""
    alike = _agree(links[others], links[first])
    alike[np.arange(len(others)), others] = True
    alike[:, first] = _agree(links[first, others], links[others, first])
    all_are: Booleans = np.all(alike, axis=1)
    return all_are


def without_bettered(
    kinds: Kinds,
    of_nodes: Floats,
    of_links: tuple[Floats, ...],
    apart: int | None,
    most_stages: int,
    enough: Callable[[], bool] = lambda: False,
) -> Kinds:
    """Leave out kinds that no plan needs: where a plan has a node of one, a node that
    matches or betters it in every number and on every link is free.

    Parameters
    ----------
    of_nodes, of_links, apart
        As in `find_kinds`; a number is the better the less it is.
    most_stages
        That a plan may have.
    enough
        Asked on the way; once it says so, the rest stay.
    """
    count = kinds.count
    if count.sum() <= most_stages or len(kinds.members) < 2:
        return kinds
    numbers = of_nodes[kinds.first]
    few = numbers[:, np.linspace(0, numbers.shape[1] - 1, _FEW).astype(np.int64)]
    between = [kinds.between(links) for links in of_links]
    both_ways = between + [np.ascontiguousarray(links.T) for links in between]
    # Of equals the first stays: what is left out is bettered by what is kept.
    stays = np.ones(len(count), dtype=np.bool_)
    for kind, nodes in enumerate(kinds.members):
        if enough():
            break
        if nodes[0] == apart:
            continue
        # Few pass that are not better: all numbers are looked at of few only.
        rivals = stays & np.all(few <= few[kind], axis=1)
        rivals[kind] = False
        better = 0
        for some in _in_blocks(rivals, numbers.shape[1] + len(count)):
            some = some[np.all(numbers[some] <= numbers[kind], axis=1)]
            some = some[_links_better(both_ways, count, some, kind)]
            better += int(count[some].sum())
            if better >= most_stages:
                stays[kind] = False
                break
    return Kinds(tuple(nodes for nodes, stay in zip(kinds.members, stays, strict=True) if stay))


def _links_better(
    both_ways: list[Floats], count: Integers, rivals: Integers, kind: int
) -> Booleans:
    """Whether the links of each rival match or better those of a kind, towards all nodes
    that may stand beside it.
    """
    better = np.ones(len(rivals), dtype=np.bool_)
    # Towards its own kind and the other's only where a second node is there.
    alone = np.flatnonzero(count[rivals] == 1)
    for way in both_ways:
        no_worse = way[rivals] <= way[kind]
        no_worse[:, kind] = (count[kind] == 1) | (way[rivals, kind] <= way[kind, kind])
        no_worse[alone, rivals[alone]] = True
        better &= np.all(no_worse, axis=1)
    return better
