#include "carbonedge/stage_limits.hpp"

#include <algorithm>
#include <limits>

namespace carbonedge
{
namespace
{
// Sums taken in different orders differ in their last digits; a limit is not to
// turn on them.
constexpr auto kRoundingSlack = 1.0 + 1e-9;
} // namespace

StageLimits::StageLimits(Chain const &chain,
                         ChainCosts const &latency,
                         double max_part_ms)
    : num_operators_(chain.num_operators()),
      // Below infinity: where no link is, no hop may be.
      max_part_ms_(std::min(max_part_ms, std::numeric_limits<double>::max())),
      latency_(&latency)
{
    std::vector<double> memory(num_operators_ + 1);
    for (std::size_t p = 0; p < num_operators_; ++p)
        memory[p + 1] = memory[p] + chain.memory_mb[p];

    farthest_.reserve(chain.num_kinds() * num_operators_);
    for (std::size_t node = 0; node < chain.num_kinds(); ++node)
    {
        auto const most_mb = chain.node_memory_mb[node] * kRoundingSlack;
        auto const fits = [&](std::size_t start, std::size_t stop)
        {
            return memory[stop] - memory[start] <= most_mb
                   && latency.stage(start, stop, node) <= max_part_ms;
        };
        std::size_t stop = 0;
        for (std::size_t start = 0; start < num_operators_; ++start)
        {
            stop = std::max(stop, start);
            while (stop < num_operators_ && fits(start, stop + 1))
                ++stop;
            farthest_.push_back(stop);
        }
    }
}
} // namespace carbonedge
