#pragma once

#include "carbonedge/block.hpp"
#include "carbonedge/scoring.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>

namespace carbonedge
{
/// From the lowest of some values to the highest: infinite, the wrong way round, where
/// there are none.
struct Range
{
    double low = std::numeric_limits<double>::infinity();
    double high = -std::numeric_limits<double>::infinity();

    [[nodiscard]] bool empty() const { return !(low <= high); }
    bool operator==(Range const &) const = default;
};

/// What a score is made of, before it is scaled.
enum class Trait : std::size_t
{
    share, ///< mean share of CPU and memory that a task would leave free
    headroom,
    balance,
    latency_ms,
    emissions_g,
};

inline constexpr std::size_t kNumTraits = 5;

/// The range of each trait over the nodes that pass a task's filters.
struct Spread
{
    std::array<Range, kNumTraits> ranges;

    [[nodiscard]] Range const &operator[](Trait trait) const
    {
        return ranges[static_cast<std::size_t>(trait)];
    }
    [[nodiscard]] bool empty() const { return ranges.front().empty(); }
    bool operator==(Spread const &) const = default;
};

/// What each component's distance from its worst counts in a score: its weight over
/// its spread, and nothing where it has none.
[[nodiscard]] Weights gains_of(Spread const &spread, Weights const &weights);

/// All that a node's score depends on besides the node.
struct Outlook
{
    Demand demand;
    Spread spread;
    Weights gains;
};
} // namespace carbonedge
