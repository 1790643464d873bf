#pragma once

#include "carbonedge/chain_costs.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

namespace carbonedge
{
/// Used nodes are kept in a bit set of this width.
inline constexpr std::size_t kMaxPartitionNodes = 16;

enum class Objective
{
    latency,    ///< ms of one inference, transfers in
    energy,     ///< J of one inference
    emissions,  ///< g of one inference
    throughput, ///< ms of the slowest stage or transfer
};

/// A chain of L operators and N nodes that may run stages of it. Row-major,
/// values checked where they enter, in Python.
struct Chain
{
    std::span<double const> time_ms;           ///< [L, N]
    std::span<double const> energy_j;          ///< [L, N]
    std::span<double const> memory_mb;         ///< [L]
    std::span<double const> cut_mb;            ///< [L + 1]
    std::span<double const> node_memory_mb;    ///< [N]
    std::span<double const> grams_per_j;       ///< [N], of the grid, PUE in
    std::span<double const> grams_per_ms;      ///< [N], embodied
    std::span<double const> link_latency_ms;   ///< [N, N], infinite: no link
    std::span<double const> link_mbps;         ///< [N, N], may be infinite
    std::span<double const> link_j_per_mb;     ///< [N, N]
    std::span<double const> link_grams_per_j;  ///< [N, N]
    std::span<double const> stage_overhead_ms; ///< [N]
    std::span<double const> stage_overhead_j;  ///< [N]
};

struct Limits
{
    double slo_ms = std::numeric_limits<double>::infinity();
    std::size_t max_stages = kMaxPartitionNodes;
    /// Partial plans kept before the search settles for the best it has.
    std::size_t max_labels = 200'000;
};

/// Stage k runs operators [stops[k - 1], stops[k]) on nodes[k].
struct Partition
{
    std::vector<std::int64_t> stops;
    std::vector<std::int64_t> nodes;
    double latency_ms;
    double energy_j;
    double emissions_g;
    double bottleneck_ms; ///< the slowest stage or transfer
    double value;         ///< of the objective
    double bound;         ///< no plan has less; equals value when optimal
    bool optimal;
};

/// The plan with the least of one objective. Every node hosts at most one stage
/// and never more than its memory; the sum of stage and transfer times is at
/// most limits.slo_ms.
///
/// A best-first search over labels (cut, node, nodes used), bounded below by the
/// same problem with nodes free to be used again, which takes O(L^2 N + L N^2),
/// for throughput also by sharing the work out evenly over the nodes left, and
/// under an slo_ms by the relaxed problem's Lagrangian dual. Labels that
/// another one matches or beats in cost, latency, stages and nodes left are
/// dropped. Exact unless max_labels is met, in which case `bound` is the least
/// bound of the labels still open. Empty when no plan was found: none exists,
/// unless `exhausted` says that max_labels was met first.
[[nodiscard]] std::optional<Partition> best_partition(Chain const &chain,
                                                      Objective objective,
                                                      Limits const &limits,
                                                      bool &exhausted);
} // namespace carbonedge
