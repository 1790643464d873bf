#pragma once

#include "carbonedge/chain.hpp"
#include "carbonedge/units.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace carbonedge
{
struct Limits
{
    double slo_ms = kInfinity;
    std::size_t max_stages = std::numeric_limits<std::size_t>::max();
    /// What no stage and no transfer may take longer than.
    double max_part_ms = kInfinity;
    /// After this a search settles for the best it has.
    double time_limit_s = kInfinity;
};

/// Stage k runs operators [stops[k - 1], stops[k]) on a node of kind kinds[k].
struct Partition
{
    std::vector<std::int64_t> stops;
    std::vector<std::int64_t> kinds;
    double latency_ms;
    double energy_j;
    double emissions_g;
    double bottleneck_ms; ///< the slowest stage or transfer
    double value;         ///< of what was to be least
};

/// What a search found.
struct Found
{
    /// One plan at most, or for a front by rising latency. None when no plan meets
    /// the limits, if that is proven.
    std::vector<Partition> plans;
    /// Whether nothing better remains, proven.
    bool proven;
    /// Else how much better a plan may be, as a share: in cost, or for a front in
    /// latency and cost at once.
    double gap;
};

/// The plan with the least of a weighted sum of its totals. No kind of node hosts
/// more stages than it has nodes, no stage needs more than its node's memory, and
/// the sum of stage and transfer times is at most limits.slo_ms.
///
/// Tables of the cost to go, O(L N^2) each, answer what no latency bounds, and bound a
/// search over labels for the rest; see label_search.cpp.
[[nodiscard]] Found
least(Chain const &chain, Prices const &prices, Limits const &limits);

/// Every plan that no other one beats in latency without losing in the weighted sum;
/// one of those that are equal in both.
[[nodiscard]] Found
front(Chain const &chain, Prices const &prices, Limits const &limits);

/// The plan whose slowest stage or transfer is the quickest; see throughput.cpp.
[[nodiscard]] Found most_throughput(Chain const &chain, Limits const &limits);
} // namespace carbonedge
