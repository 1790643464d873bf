#include "rough_plan.hpp"

#include "carbonedge/units.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace carbonedge
{
std::optional<Partition> rough_plan(ChainCosts const &costs,
                                    StageLimits const &limits,
                                    Resources const &resources)
{
    Partition plan{};
    std::vector<std::uint64_t> times(costs.num_kinds());
    std::size_t start = 0;
    while (start < costs.num_operators()
           && plan.kinds.size() < resources.limit(resources.stages()))
    {
        auto least = kInfinity;
        std::size_t chosen = 0;
        for (std::size_t kind = 0; kind < costs.num_kinds(); ++kind)
        {
            auto const stop = limits.farthest(start, kind);
            if (stop <= start || times[kind] == resources.limit(kind)
                || (stop == costs.num_operators() && !limits.may_leave(kind)))
                continue;
            auto cost = costs.stage(start, stop, kind);
            if (start == 0)
                cost += limits.may_enter(kind) ? costs.enter(kind) : kInfinity;
            else
            {
                auto const from = static_cast<std::size_t>(plan.kinds.back());
                cost += limits.may_hop(start, from, kind)
                            ? costs.transfer(start, from, kind)
                            : kInfinity;
            }
            auto const each = cost / static_cast<double>(stop - start);
            if (each < least)
            {
                least = each;
                chosen = kind;
            }
        }
        if (least == kInfinity)
            return std::nullopt;
        ++times[chosen];
        start = limits.farthest(start, chosen);
        plan.kinds.push_back(static_cast<std::int64_t>(chosen));
        plan.stops.push_back(static_cast<std::int64_t>(start));
    }
    if (start < costs.num_operators())
        return std::nullopt;
    return plan;
}
} // namespace carbonedge
