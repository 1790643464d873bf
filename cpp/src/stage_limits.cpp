#include "carbonedge/stage_limits.hpp"

#include <algorithm>
#include <limits>
#include <span>

namespace carbonedge
{
namespace
{
// Sums taken in different orders differ in their last digits; a limit is not to
// turn on them.
constexpr auto kRoundingSlack = 1.0 + 1e-9;

// For each start the farthest stop up to which weights, and a first one, sum up to no
// more than `most`. The window is summed up in two parts, of which the first goes from
// each start up to a middle: nothing is subtracted, which would leave what is large
// behind in its rounding.
std::vector<std::size_t>
farthest_stops(std::span<double const> weights, double first, double most)
{
    auto const size = weights.size();
    std::vector<std::size_t> farthest(size);
    std::vector<double> up_to_middle(size + 1);
    std::size_t middle = 0;
    std::size_t stop = 0;
    auto beyond = 0.0;
    for (std::size_t start = 0; start < size; ++start)
    {
        stop = std::max(stop, start);
        if (start >= middle)
        {
            middle = stop;
            beyond = 0.0;
            up_to_middle[middle] = 0.0;
            for (auto i = middle; i-- > start;)
                up_to_middle[i] = weights[i] + up_to_middle[i + 1];
        }
        while (stop < size
               && up_to_middle[start] + (beyond + weights[stop]) + first <= most)
            beyond += weights[stop++];
        farthest[start] = stop;
    }
    return farthest;
}
} // namespace

StageLimits::StageLimits(Chain const &chain,
                         ChainCosts const &latency,
                         double max_part_ms)
    : num_operators_(chain.num_operators()),
      // Below infinity: where no link is, no hop may be.
      max_part_ms_(std::min(max_part_ms, std::numeric_limits<double>::max())),
      latency_(&latency)
{
    farthest_.reserve(chain.num_kinds() * num_operators_);
    for (std::size_t node = 0; node < chain.num_kinds(); ++node)
    {
        auto const by_memory = farthest_stops(
            chain.memory_mb, 0.0, chain.node_memory_mb[node] * kRoundingSlack);
        auto const by_time = farthest_stops(
            {latency.steps(node), num_operators_}, latency.overhead(node), max_part_ms);
        for (std::size_t start = 0; start < num_operators_; ++start)
            farthest_.push_back(std::min(by_memory[start], by_time[start]));
    }
    auto const heaviest = static_cast<std::size_t>(
        std::max_element(chain.cut_mb.begin(), chain.cut_mb.end())
        - chain.cut_mb.begin());
    at_any_cut_.reserve(chain.num_kinds() * chain.num_kinds());
    for (std::size_t from = 0; from < chain.num_kinds(); ++from)
        for (std::size_t to = 0; to < chain.num_kinds(); ++to)
            at_any_cut_.push_back(latency.transfer(heaviest, from, to) <= max_part_ms_);
}
} // namespace carbonedge
