#pragma once

#include "carbonedge/stage_limits.hpp"
#include "carbonedge/uses.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace carbonedge
{
/// What the nodes left of each state of use could still do if nothing had to be moved
/// between them. Takes O(N S + L N).
class Viability
{
public:
    Viability(StageLimits const &limits,
              UseStates const &states,
              std::size_t num_operators,
              std::size_t num_kinds);

    /// The first cut from which on they could do all the rest; L when none is left.
    [[nodiscard]] std::size_t first_cut(std::uint32_t state) const
    {
        return first_cut_[state];
    }

private:
    std::vector<std::uint32_t> first_cut_; // [S]
};
} // namespace carbonedge
