"""Which plans are up: chosen anew when nodes go, come or drift, and changed under load."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from carbonedge.exceptions import CarbonEdgeError, InfeasibleError
from carbonedge.planning import Plan
from carbonedge.runtime.adaptation import Adaptation
from carbonedge.runtime.deployment import Deployed, Deployment
from carbonedge.runtime.ray.observed import View
from carbonedge.runtime.ray.stages import NodeLostError
from carbonedge.runtime.ray.worker import OutgrownError, TooLargeError

__all__ = ["Conductor"]

logger = logging.getLogger(__name__)

RETIRE_S = 1.0
"""Plans that were left are looked after so often."""
MOST_TRIES = 16
"""Plans that turn out not to fit, or lose a node, before it is given up for a while."""


class Conductor:
    """Keeps the plans up that suit the nodes there are.

    Parameters
    ----------
    deployment
        The plans that are up.
    look
        The cluster of the nodes that answer, as it is now.
    plans
        Of a cluster: those to put up.
    move
        From plans, at so many requests per second: those to put up instead, or none where
        no move pays. ``None`` where plans need not change while the nodes stay.
    put_up
        Brings a plan to its nodes, ready to answer.
    lacks
        Told which node has only so many MB for all plans together, and whether for good.
    adaptation
        When plans change for another reason than nodes that go or come; ``None`` for never.
    """

    def __init__(
        self,
        deployment: Deployment,
        *,
        look: Callable[[], View],
        plans: Callable[[View], list[Plan]],
        move: Callable[[Sequence[Plan], View, float], list[Plan]] | None,
        put_up: Callable[[Plan], Deployed],
        lacks: Callable[..., None],
        adaptation: Adaptation | None,
    ) -> None:
        self._deployment = deployment
        self._look = look
        self._plans = plans
        self._move = move
        self._put_up = put_up
        self._lacks = lacks
        self._adaptation = adaptation
        self._woken = threading.Event()
        self._closed = threading.Event()
        self._why = "no plan has been put up yet"
        self._unsettled = False
        self._identities: set[str] = set()
        self._counted = (0, time.monotonic())
        self._thread = threading.Thread(
            target=self._conduct, name="carbonedge-conductor", daemon=True
        )

    @property
    def started(self) -> bool:
        """Whether plans are up, or were."""
        return bool(self._identities)

    def start(self) -> None:
        """Put up the first plans, and change them from now on.

        Raises
        ------
        InfeasibleError
            If no plan meets the limits.
        CarbonEdgeError
            If none could be put up.
        """
        self._regroup()
        if not self._deployment.up:
            raise CarbonEdgeError(f"no plan could be put up: {self._why}; try again")
        self._thread.start()

    @property
    def why_none(self) -> str:
        """Why no plan is up, when none is."""
        return self._why

    def wake(self) -> None:
        """Nodes have gone or come."""
        self._woken.set()

    def close(self) -> None:
        """Change nothing any more, once what is being put up is given up."""
        self._closed.set()
        self._woken.set()

    def join(self) -> None:
        """Wait until it is."""
        if self._thread.is_alive():
            self._thread.join()

    def _conduct(self) -> None:
        every_s = RETIRE_S if self._adaptation is None else min(RETIRE_S, self._adaptation.every_s)
        looked_s = time.monotonic()
        while not self._closed.is_set():
            woken = self._woken.wait(every_s)
            self._woken.clear()
            if self._closed.is_set():
                return
            try:
                if woken or self._unsettled or not self._deployment.up:
                    self._follow()
                elif self._adaptation and time.monotonic() - looked_s >= self._adaptation.every_s:
                    looked_s = time.monotonic()
                    self._reconsider(self._adaptation)
                self._retire()
            except CarbonEdgeError as error:
                self._say(str(error))
            except Exception:
                if not self._closed.is_set():
                    logger.exception("the plans that are up cannot be changed")

    def _follow(self) -> None:
        """Put up what suits the nodes that answer now, where any plan or node needs it."""
        wanted = {one.plan.identity for one in self._deployment.up} == self._identities
        if wanted and self._look().factors.keys() <= self._decided.factors.keys():
            return
        self._unsettled = True
        self._retire()  # what lost a node need not be in the way
        self._regroup()
        self._unsettled = False

    def _regroup(self) -> None:
        """Put plans up, and others where they turn out too large or lose a node."""
        tight: TooLargeError | None = None
        outgrown: set[str] = set()
        for _ in range(MOST_TRIES):
            since, view = self._deployment.losses, self._look()
            try:
                self._settle(view, self._plans(view), since)
                return
            except NodeLostError as error:
                self._say(f"node {error} was lost while a stage was brought to it")
                self._pause()
            except TooLargeError as error:
                self._say(str(error))
                tight = error
                if isinstance(error, OutgrownError):
                    if error.node in outgrown:
                        # No plan's figure for it can be trusted.
                        self._lacks(error.node, 0.0, lasting=True)
                    outgrown.add(error.node)
                    self._pause()
            except InfeasibleError as error:
                if tight is None:
                    raise
                raise InfeasibleError(f"{tight}; now {error}") from error
            if self._closed.is_set():
                return
        raise InfeasibleError(f"no plan fits its nodes: {self._why}")

    def _pause(self) -> None:
        """Until the fleet has found out too, sooner or later, that a worker is gone."""
        self._woken.wait(RETIRE_S)
        self._woken.clear()

    def _reconsider(self, adaptation: Adaptation) -> None:
        """Move to other plans if that pays."""
        answered, since_s = self._counted
        now, now_s = self._deployment.answered, time.monotonic()
        self._counted = (now, now_s)
        if self._move is None:
            return
        since, view = self._deployment.losses, self._look()
        if view.drift(self._decided) <= adaptation.tolerance:
            return
        standing = [one.plan for one in self._deployment.up]
        rate_per_s = (now - answered) / (now_s - since_s)
        plans = self._move(standing, view, rate_per_s) if standing else []
        if not plans:
            return
        try:
            self._settle(view, plans, since)
        except NodeLostError as error:
            self._say(f"node {error} was lost while a stage was brought to it")
        except TooLargeError as error:
            self._say(str(error))

    def _settle(self, view: View, plans: Sequence[Plan], since: int) -> None:
        """Put plans up beside those that are, hand over to them, and leave the others."""
        standing = {one.plan.identity: one for one in self._deployment.up}
        new: list[Deployed] = []
        try:
            for plan in plans:
                if plan.identity not in standing:
                    new.append(self._put_up(plan))
                    standing[plan.identity] = new[-1]
        except BaseException as error:
            for one in new:
                one.stages.drop()
            if isinstance(error, TooLargeError):
                there = [standing[plan.identity] for plan in plans if plan.identity in standing]
                outgrown = isinstance(error, OutgrownError)
                had_mb = error.memory_mb if outgrown else error.free_mb
                held_mb = _held_mb(there, error.node)
                self._lacks(error.node, had_mb + held_mb, lasting=outgrown)
            raise
        up = [standing[plan.identity] for plan in plans]
        self._deployment.replace(up, since)
        self._decided = view
        self._identities = {plan.identity for plan in plans}
        names = "; ".join(" -> ".join(one.nodes) for one in up)
        logger.info("plans that are up: %s", names)

    def _retire(self) -> None:
        """Let go what has answered its last request."""
        for one in self._deployment.finished():
            one.stages.drop()

    def _say(self, why: str) -> None:
        if why != self._why:
            logger.warning("%s", why)
        self._why = why


def _held_mb(deployed: Sequence[Deployed], node: str) -> float:
    """What the stages of plans take on a node; one of several plans is one session there."""
    stages = [stage for one in deployed for stage in one.plan.stages if stage.node == node]
    return sum({(stage.start, stage.stop): stage.memory_mb for stage in stages}.values())
