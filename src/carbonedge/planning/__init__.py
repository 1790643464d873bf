"""Model partitioner: how a model is cut, and where its stages run."""

from __future__ import annotations

from carbonedge.planning.costs import OperatorCosts, operator_costs
from carbonedge.planning.cuts import Cut
from carbonedge.planning.formulation import partition_problem
from carbonedge.planning.measuring import measure
from carbonedge.planning.model import ModelGraph, load_model
from carbonedge.planning.operators import Operator
from carbonedge.planning.pareto import pareto
from carbonedge.planning.partition import objective_for_mode, partition, partition_for_mode
from carbonedge.planning.plan import Plan, Stage, Transfer
from carbonedge.planning.problem import PartitionProblem
from carbonedge.planning.profile import Profile, read_profile
from carbonedge.planning.replan import Replan, replan
from carbonedge.planning.sized import sized
from carbonedge.planning.solution import PartitionSolution
from carbonedge.planning.split import StageModel, split
from carbonedge.planning.tensor import Tensor

__all__ = [
    "Cut",
    "ModelGraph",
    "Operator",
    "OperatorCosts",
    "PartitionProblem",
    "PartitionSolution",
    "Plan",
    "Profile",
    "Replan",
    "Stage",
    "StageModel",
    "Tensor",
    "Transfer",
    "load_model",
    "measure",
    "objective_for_mode",
    "operator_costs",
    "pareto",
    "partition",
    "partition_for_mode",
    "partition_problem",
    "read_profile",
    "replan",
    "sized",
    "split",
]
