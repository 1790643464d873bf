"""Cuts of an operator order, and what crosses each."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from carbonedge.planning.boxing import carrier
from carbonedge.planning.element_types import can_cross
from carbonedge.planning.order import Links
from carbonedge.planning.tensor import Tensor
from carbonedge.units import BYTES_PER_MB

__all__ = ["Crossings", "Cut", "crossings", "cuts_at", "resized", "returning"]


@dataclass(frozen=True, slots=True, eq=False)
class Crossings:
    """Which tensors are alive where; kept as spans, for a list per cut would grow with
    the square of the operators.

    Parameters
    ----------
    tensors
        All that are read, in the order in which they come to be.
    first, last
        Cut after which each is there, and last cut that it must cross; shape [tensors].
    outputs
        What crosses the last cut, on its way to the user: what operators make. An input
        that goes straight to an output is with the user, and so is what is the same for
        every request.
    made
        Cut after which each output is there; shape [outputs].
    positions
        Number of operators.
    """

    tensors: tuple[Tensor, ...]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    outputs: tuple[Tensor, ...]
    made: NDArray[np.int64]
    positions: int

    def at(self, position: int) -> tuple[Tensor, ...]:
        """What crosses a cut."""
        if position == self.positions:
            return self.outputs
        alive = np.flatnonzero((self.first <= position) & (self.last >= position))
        return tuple(self.tensors[index] for index in alive)

    def bytes_at_all(self) -> NDArray[np.int64]:
        """Size of what crosses each position, shape [positions + 1]."""
        sizes = np.array([round(t.mb * BYTES_PER_MB) for t in self.tensors], dtype=np.int64)
        crossing = self._sums(sizes)
        crossing[-1] = sum(round(t.mb * BYTES_PER_MB) for t in self.outputs)
        return crossing

    def obstacles(self, *, boxes: bool) -> NDArray[np.int64]:
        """How many tensors at each position cannot cross, with or without boxes for those
        of unknown rank; shape [positions + 1].
        """
        stays = [
            not can_cross(t.dtype) or (not boxes and carrier(t) != t.name) for t in self.tensors
        ]
        return self._sums(np.array(stays, dtype=np.int64))

    def returning(self) -> Crossings:
        """The same, with every output kept until the last cut."""
        read = {tensor.name for tensor in self.tensors}
        results = {tensor.name for tensor in self.outputs}
        kept = [
            (first, self.positions - 1 if tensor.name in results else last, tensor)
            for tensor, first, last in zip(self.tensors, self.first, self.last, strict=True)
        ]
        kept += [
            (made, self.positions - 1, tensor)
            for tensor, made in zip(self.outputs, self.made, strict=True)
            if tensor.name not in read
        ]
        kept.sort(key=lambda span: int(span[0]))
        return dataclasses.replace(
            self,
            tensors=tuple(tensor for _, _, tensor in kept),
            first=np.array([first for first, _, _ in kept], dtype=np.int64),
            last=np.array([last for _, last, _ in kept], dtype=np.int64),
        )

    def _sums(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        changes = np.zeros(self.positions + 2, dtype=np.int64)
        np.add.at(changes, self.first, values)
        np.add.at(changes, self.last + 1, -values)
        return np.cumsum(changes)[:-1]


@dataclass(frozen=True, slots=True)
class Cut:
    """A place where the model can be split.

    Parameters
    ----------
    position
        Operators before it.
    mb
        Size of what crosses, in MB of 10^6 bytes.
    """

    position: int
    mb: float
    _crossings: Crossings = field(repr=False, compare=False)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What must cross it: the boundary tensors. At position 0 the inputs that are
        read, at the last the outputs that operators make.
        """
        return self._crossings.at(self.position)


def crossings(
    links: Sequence[Links],
    inputs: Sequence[Tensor],
    outputs: Iterable[str],
    written: Sequence[Sequence[Tensor]],
) -> Crossings:
    """From the order of operators to what is alive between them.

    Parameters
    ----------
    links
        Of each operator, in order.
    inputs
        The model's.
    outputs
        Their names.
    written
        By each operator.
    """
    last: dict[str, int] = {}
    for position, link in enumerate(links):
        last.update(dict.fromkeys(link.reads, position))
    made = {
        tensor.name: (tensor, position + 1)
        for position, tensors in enumerate(written)
        for tensor in tensors
    }
    read = [(tensor, 0) for tensor in inputs if tensor.name in last]
    read += [(tensor, first) for tensor, first in made.values() if tensor.name in last]
    results = [made[name] for name in dict.fromkeys(outputs) if name in made]
    return Crossings(
        tuple(tensor for tensor, _ in read),
        np.array([first for _, first in read], dtype=np.int64),
        np.array([last[tensor.name] for tensor, _ in read], dtype=np.int64),
        tuple(tensor for tensor, _ in results),
        np.array([first for _, first in results], dtype=np.int64),
        len(links),
    )


def resized(cuts: Sequence[Cut], tensors: Mapping[str, Tensor]) -> tuple[Cut, ...]:
    """The same cuts, with other sizes of what crosses them."""
    known = cuts[0]._crossings
    crossing = dataclasses.replace(
        known,
        tensors=tuple(tensors[tensor.name] for tensor in known.tensors),
        outputs=tuple(tensors[tensor.name] for tensor in known.outputs),
    )
    return cuts_at([cut.position for cut in cuts], crossing)


def returning(cuts: Sequence[Cut]) -> tuple[Cut, ...]:
    """The same cuts where all outputs return from the last operator to where the inputs
    came from: what is an output and made before a cut crosses it too, once.
    """
    return cuts_at([cut.position for cut in cuts], cuts[0]._crossings.returning())


def cuts_at(positions: Iterable[int], crossing: Crossings) -> tuple[Cut, ...]:
    """Cuts with what crosses them."""
    size = crossing.bytes_at_all()
    return tuple(
        Cut(position, float(size[position]) / BYTES_PER_MB, crossing) for position in positions
    )
