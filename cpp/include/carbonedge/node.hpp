#pragma once

#include <array>
#include <cstddef>
#include <limits>

namespace carbonedge
{
/// What a decision reads of one node. The order is that of the rows of the
/// Python twin's table, `_kernels.FIELDS`.
enum class Field : std::size_t
{
    cpu_cores,           ///< > 0
    memory_mb,           ///< > 0
    power_w,             ///< > 0, drawn while a task runs
    intensity_g_per_kwh, ///< >= 0, of the node's grid zone now
    pue,                 ///< >= 1
    load,                ///< in [0, 1], share of the CPU in use
    network_latency_ms,  ///< >= 0, round trip to the node
    avg_time_ms,         ///< >= 0, of the tasks that ran here
    running_tasks,       ///< whole, >= 0
    parallelism,         ///< whole, >= 1, tasks run side by side
    embodied_g_per_hour, ///< >= 0, of manufacture, while a task runs
};

inline constexpr std::size_t kNumFields = 11;

/// One node's state. Values are checked where they enter, in Python.
struct Node
{
    std::array<double, kNumFields> values;

    [[nodiscard]] double operator[](Field field) const
    {
        return values[static_cast<std::size_t>(field)];
    }
    double &operator[](Field field) { return values[static_cast<std::size_t>(field)]; }
};

/// One request to be placed.
struct Task
{
    double cpu_cores; ///< >= 0
    double memory_mb; ///< >= 0
    double slo_ms = std::numeric_limits<double>::infinity();
};

/// network_latency_ms + avg_time_ms * (1 + running_tasks / parallelism)
[[nodiscard]] double predicted_latency_ms(Node const &node);

/// power_w * avg_time_ms / 1000
[[nodiscard]] double predicted_energy_j(Node const &node);

/// Operational plus embodied grams of one task:
/// energy * intensity * pue / 3.6e6 + embodied_g_per_hour * hours.
[[nodiscard]] double predicted_emissions_g(Node const &node);
} // namespace carbonedge
