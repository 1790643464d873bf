#pragma once

#include "carbonedge/chain.hpp"

#include <cstddef>
#include <vector>

namespace carbonedge
{
/// What one stage or hop may be: a stage fits its node's memory, and neither takes
/// longer than max_part_ms.
class StageLimits
{
public:
    /// O(L N + N^2).
    StageLimits(Chain const &chain, ChainCosts const &latency, double max_part_ms);

    /// The last stop of a stage that starts at a cut; at most the cut itself when
    /// not one operator may run there.
    [[nodiscard]] std::size_t farthest(std::size_t start, std::size_t node) const
    {
        return farthest_[node * num_operators_ + start];
    }

    [[nodiscard]] bool may_hop(std::size_t cut, std::size_t from, std::size_t to) const
    {
        return at_any_cut_[from * latency_->num_kinds() + to] != 0
               || latency_->transfer(cut, from, to) <= max_part_ms_;
    }

    [[nodiscard]] bool may_enter(std::size_t node) const
    {
        return latency_->enter(node) <= max_part_ms_;
    }

    [[nodiscard]] bool may_leave(std::size_t node) const
    {
        return latency_->leave(node) <= max_part_ms_;
    }

private:
    std::size_t num_operators_;
    double max_part_ms_;
    ChainCosts const *latency_;
    std::vector<std::size_t> farthest_; // [N, L]
    std::vector<char> at_any_cut_;      // [N, N], whether a hop is quick enough
};
} // namespace carbonedge
