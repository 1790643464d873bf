#pragma once

#include <limits>

namespace carbonedge
{
inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Exact conversions. Twin of carbonedge/units.py.
inline constexpr double kJoulesPerKwh = 3.6e6;
inline constexpr double kMsPerSecond = 1e3;
inline constexpr double kMsPerHour = 3.6e6;
inline constexpr double kMegabitsPerMb = 8.0;

/// Free capacity is counted in whole quanta, so that reserving and releasing
/// in any order returns a node to exactly the state it was in.
inline constexpr double kCpuQuantaPerCore = 1e9;
inline constexpr double kMemoryQuantaPerMb = 1e6;
} // namespace carbonedge
