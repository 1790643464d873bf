#pragma once

#include "carbonedge/chain_costs.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

namespace carbonedge
{
inline constexpr std::size_t kNoSource = std::numeric_limits<std::size_t>::max();

/// A chain of L operators, and N kinds of nodes that may run stages of it. Nodes
/// are of one kind when they could change places and nothing would differ.
/// Row-major, values checked where they enter, in Python.
struct Chain
{
    std::span<double const> time_ms;           ///< [L, N]
    std::span<double const> energy_j;          ///< [L, N]
    std::span<double const> memory_mb;         ///< [L]
    std::span<double const> cut_mb;            ///< [L + 1]
    std::span<std::int64_t const> count;       ///< [N], nodes of each kind
    std::span<double const> node_memory_mb;    ///< [N]
    std::span<double const> grams_per_j;       ///< [N], of the grid, PUE in
    std::span<double const> grams_per_ms;      ///< [N], embodied
    std::span<double const> link_latency_ms;   ///< [N, N], infinite: no link
    std::span<double const> link_mbps;         ///< [N, N], may be infinite
    std::span<double const> link_j_per_mb;     ///< [N, N]
    std::span<double const> link_grams_per_j;  ///< [N, N]
    std::span<double const> stage_overhead_ms; ///< [N]
    std::span<double const> stage_overhead_j;  ///< [N]
    /// Where inputs arise and outputs return, a kind of one node; or kNoSource.
    std::size_t source = kNoSource;

    [[nodiscard]] std::size_t num_operators() const { return memory_mb.size(); }
    [[nodiscard]] std::size_t num_kinds() const { return node_memory_mb.size(); }
};

/// What a plan is to have the least of: a weighted sum of its totals.
struct Prices
{
    double per_ms = 0.0;
    double per_j = 0.0;
    double per_g = 0.0;
};

/// ms of one inference, transfers in.
[[nodiscard]] ChainCosts latency_of(Chain const &chain);

/// J of one inference.
[[nodiscard]] ChainCosts energy_of(Chain const &chain);

/// g of one inference.
[[nodiscard]] ChainCosts emissions_of(Chain const &chain);

/// All three at their prices, of which one at least is above zero.
[[nodiscard]] ChainCosts priced(Chain const &chain, Prices const &prices);
} // namespace carbonedge
