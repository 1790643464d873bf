#pragma once

#include "carbonedge/lanes.hpp"

#include <array>
#include <cstddef>

namespace carbonedge
{
/// What a decision reads of a node, derived from its fields and reservations. CPU and
/// memory are in quanta (units.hpp).
enum class Feature : std::size_t
{
    open_cpu,    ///< free CPU; -1 where load or latency bars, and where no node is
    free_memory, ///< reservations taken off
    per_cpu,     ///< 0.5 / CPU capacity, at least one
    per_memory,  ///< 0.5 / memory capacity, at least one
    headroom,    ///< 1 - load
    balance,     ///< 1 / (1 + 2 running_tasks)
    latency_ms,  ///< predicted
    emissions_g, ///< predicted
};

inline constexpr std::size_t kNumFeatures = 8;

/// A task's needs, in quanta (units.hpp).
struct Demand
{
    double cpu;
    double memory;

    bool operator==(Demand const &) const = default;
};

/// What decisions read of sixteen nodes, column by column.
struct Block
{
    std::array<Lanes, kNumFeatures> features;
    Lanes merit; ///< weighted sum of the paper's components, where those decide

    [[nodiscard]] Lanes const &operator[](Feature feature) const
    {
        return features[static_cast<std::size_t>(feature)];
    }
    Lanes &operator[](Feature feature)
    {
        return features[static_cast<std::size_t>(feature)];
    }

    [[nodiscard]] bool passes(Demand const &demand, std::size_t lane) const
    {
        return (*this)[Feature::open_cpu][lane] >= demand.cpu
               && (*this)[Feature::free_memory][lane] >= demand.memory;
    }
};

/// Mean share of CPU and memory that a task would leave free.
[[nodiscard]] inline double
share_left(Block const &block, Demand const &demand, std::size_t lane)
{
    return (block[Feature::open_cpu][lane] - demand.cpu) * block[Feature::per_cpu][lane]
           + (block[Feature::free_memory][lane] - demand.memory)
                 * block[Feature::per_memory][lane];
}
} // namespace carbonedge
