#include "carbonedge/viability.hpp"

#include <algorithm>
#include <limits>

namespace carbonedge
{
namespace
{
// For each kind and stop the earliest start of a stage that may run so far; the stop
// itself where none may. [N, L + 1]
std::vector<std::uint32_t> earliest_starts(StageLimits const &limits,
                                           std::size_t num_operators,
                                           std::size_t num_kinds)
{
    std::vector<std::uint32_t> earliest;
    earliest.reserve(num_kinds * (num_operators + 1));
    for (std::size_t kind = 0; kind < num_kinds; ++kind)
    {
        std::size_t start = 0;
        for (std::size_t stop = 0; stop <= num_operators; ++stop)
        {
            while (start < stop && limits.farthest(start, kind) < stop)
                ++start;
            earliest.push_back(static_cast<std::uint32_t>(start));
        }
    }
    return earliest;
}
} // namespace

Viability::Viability(StageLimits const &limits,
                     UseStates const &states,
                     std::size_t num_operators,
                     std::size_t num_kinds)
    : first_cut_(states.size(), static_cast<std::uint32_t>(num_operators))
{
    auto const earliest = earliest_starts(limits, num_operators, num_kinds);
    // A state is followed by higher ones, or by itself where a kind is not tracked:
    // then until nothing changes.
    for (auto state = static_cast<std::uint32_t>(states.size()); state-- > 0;)
        for (auto before = std::numeric_limits<std::uint32_t>::max();
             before != first_cut_[state];)
        {
            before = first_cut_[state];
            for (std::size_t kind = 0; kind < num_kinds; ++kind)
            {
                auto const after = states.next(state, kind);
                if (after != UseStates::kNone)
                    first_cut_[state] = std::min(
                        first_cut_[state],
                        earliest[kind * (num_operators + 1) + first_cut_[after]]);
            }
        }
}
} // namespace carbonedge
