#pragma once

#include "carbonedge/chain_costs.hpp"
#include "carbonedge/partition.hpp"

#include <algorithm>
#include <cstddef>
#include <span>

namespace carbonedge
{
/// Calls `part` with the cost of each stage and transfer of a plan, in the order in
/// which they happen.
template <typename Part>
void each_part(ChainCosts const &costs, Partition const &plan, Part const &part)
{
    auto const node = [&](std::size_t k)
    { return static_cast<std::size_t>(plan.kinds[k]); };
    part(costs.enter(node(0)));
    std::size_t start = 0;
    for (std::size_t k = 0; k < plan.kinds.size(); ++k)
    {
        auto const stop = static_cast<std::size_t>(plan.stops[k]);
        part(costs.stage(start, stop, node(k)));
        part(k + 1 < plan.kinds.size() ? costs.transfer(stop, node(k), node(k + 1))
                                       : costs.leave(node(k)));
        start = stop;
    }
}

[[nodiscard]] inline double total(ChainCosts const &costs, Partition const &plan)
{
    auto sum = 0.0;
    each_part(costs, plan, [&](double cost) { sum += cost; });
    return sum;
}

[[nodiscard]] inline double largest_part(ChainCosts const &costs, Partition const &plan)
{
    auto largest = 0.0;
    each_part(costs, plan, [&](double cost) { largest = std::max(largest, cost); });
    return largest;
}

/// Fills in the totals of plans from their stops and kinds.
inline void
sum_up(Chain const &chain, ChainCosts const &latency, std::span<Partition> plans)
{
    auto const energy = energy_of(chain);
    auto const emissions = emissions_of(chain);
    for (auto &plan : plans)
    {
        plan.latency_ms = total(latency, plan);
        plan.energy_j = total(energy, plan);
        plan.emissions_g = total(emissions, plan);
        plan.bottleneck_ms = largest_part(latency, plan);
    }
}
} // namespace carbonedge
