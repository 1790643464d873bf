#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

namespace carbonedge
{
/// Nodes, and summaries of them, are kept and looked at this many at a time: small
/// enough for close bounds, and whole vectors on any machine.
inline constexpr std::size_t kLanes = 16;

struct alignas(64) Lanes
{
    std::array<double, kLanes> values;

    double &operator[](std::size_t lane) { return values[lane]; }
    double operator[](std::size_t lane) const { return values[lane]; }
};

/// The first lane that holds a value.
[[nodiscard]] inline std::size_t lane_of(Lanes const &lanes, double value)
{
    auto const &values = lanes.values;
    return static_cast<std::size_t>(std::find(values.begin(), values.end(), value)
                                    - values.begin());
}

[[nodiscard]] inline double highest_of(Lanes const &lanes)
{
    return *std::max_element(lanes.values.begin(), lanes.values.end());
}
} // namespace carbonedge
