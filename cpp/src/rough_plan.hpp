#pragma once

#include "carbonedge/chain_costs.hpp"
#include "carbonedge/partition.hpp"
#include "carbonedge/stage_limits.hpp"
#include "carbonedge/uses.hpp"

#include <optional>

namespace carbonedge
{
/// Some plan within the limits that overuses nothing: the stages as long as may be,
/// each on the node that then costs least for each operator. None where that leads
/// nowhere, which says little. O(L N) where memory is short, else O(L N) a stage.
[[nodiscard]] std::optional<Partition> rough_plan(ChainCosts const &costs,
                                                  StageLimits const &limits,
                                                  Resources const &resources);
} // namespace carbonedge
