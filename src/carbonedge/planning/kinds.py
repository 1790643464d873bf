"""Nodes that are of one kind, so that a search need not tell them apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Kinds", "find_kinds", "without_bettered"]

Floats = NDArray[np.float64]


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
    def count(self) -> NDArray[np.int64]:
        """Nodes of each kind."""
        return np.array([len(nodes) for nodes in self.members], dtype=np.int64)

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

    Parameters
    ----------
    of_nodes
        All numbers of each node, shape [N, numbers].
    of_links
        All numbers of links, each of shape [N, N]; diagonals are not looked at.
    apart
        A node that is of no kind but its own.
    """
    groups: dict[bytes, list[list[int]]] = {}
    kinds: list[list[int]] = []
    for node in range(len(of_nodes)):
        alike = groups.setdefault(of_nodes[node].tobytes(), [])
        kind = next(
            (
                nodes
                for nodes in alike
                if apart not in (node, nodes[0]) and _change_places(of_links, node, nodes[0])
            ),
            None,
        )
        if kind is None:
            kind = []
            alike.append(kind)
            kinds.append(kind)
        kind.append(node)
    return Kinds(tuple(tuple(nodes) for nodes in kinds))


def _change_places(of_links: tuple[Floats, ...], a: int, b: int) -> bool:
    others = np.ones(len(of_links[0]), dtype=bool)
    others[[a, b]] = False
    return all(
        links[a, b] == links[b, a]
        and np.array_equal(links[a, others], links[b, others])
        and np.array_equal(links[others, a], links[others, b])
        for links in of_links
    )


def without_bettered(
    kinds: Kinds,
    of_nodes: Floats,
    of_links: tuple[Floats, ...],
    apart: int | None,
    most_stages: int,
) -> Kinds:
    """Leave out kinds that no plan needs: where a plan has a node of one, a node that
    matches or betters it in every number and on every link is free.

    Parameters
    ----------
    of_nodes, of_links, apart
        As in `find_kinds`; a number is the better the less it is.
    most_stages
        That a plan may have.
    """
    count = kinds.count
    if count.sum() <= most_stages or len(kinds.members) < 2:
        return kinds
    first = kinds.first
    betters = np.all(of_nodes[first][:, np.newaxis] <= of_nodes[first], axis=2)
    between = [kinds.between(links) for links in of_links]
    kept: list[tuple[int, ...]] = []
    # Of equals the first stays: what is left out is bettered by what is kept.
    out: set[int] = set()
    for kind in range(len(first)):
        rivals = [
            rival
            for rival in range(len(first))
            if rival != kind
            and rival not in out
            and betters[rival, kind]
            and _links_better(between, count, rival, kind)
        ]
        if first[kind] != apart and sum(count[rivals]) >= most_stages:
            out.add(kind)
        else:
            kept.append(kinds.members[kind])
    return Kinds(tuple(kept))


def _links_better(between: list[Floats], count: NDArray[np.int64], a: int, b: int) -> bool:
    """Whether the links of kind `a` match or better those of kind `b`, towards all
    nodes that may stand beside it.
    """
    others = np.ones(len(count), dtype=bool)
    # Towards its own kind and the other's only where a second node is there.
    others[a] = count[a] > 1
    others[b] = False
    return all(
        np.all(links[a, others] <= links[b, others])
        and np.all(links[others, a] <= links[others, b])
        and (count[b] == 1 or (links[a, b] <= links[b, b] and links[b, a] <= links[b, b]))
        for links in between
    )
