#pragma once

#include "carbonedge/blocks.hpp"
#include "carbonedge/scoring.hpp"

#include <cstddef>
#include <optional>
#include <vector>

namespace carbonedge
{
/// A task's needs, in quanta (units.hpp).
struct Demand
{
    double cpu;
    double memory;
    double slo_ms;
};

/// The chosen node with its score; components only where the scan knows them.
struct Choice
{
    std::size_t index;
    double score;
    Components components;
};

/// Kept between scans to spare them allocations; its content means nothing.
struct Workspace
{
    std::vector<double> bounds;
    std::vector<std::size_t> divided;
    std::size_t looks = 0; ///< into blocks, since their peaks were last taken
};

// Each scan gives exactly what a look at every node would. It passes over a block
// only when a bound shows that no node there can win: bounds are the scan's own
// expressions taken at the block's extremes, and rounding keeps the order of sums
// and products of ordered terms, so a bound is never below what it bounds. All
// cost O(nodes / kBlockSize) plus the blocks looked into, at worst all.

/// The node with the highest merit > 0 that passes the filters, first of
/// equals. Empty when there is none. Components are left empty.
[[nodiscard]] std::optional<Choice>
best_merit(Columns const &columns, Blocks const &blocks, Demand const &demand);

/// The node with the highest weighted sum of scaled components, first of
/// equals. Resource is the mean share of CPU and memory left free after
/// placement, performance falls with predicted latency, carbon with predicted
/// emissions; each is min-max scaled over the nodes that pass the filters, and is
/// 0 for all where it has no spread. Empty when no node passes. Prepares the blocks for
/// the task, O(nodes) when its needs differ from the last task's.
[[nodiscard]] std::optional<Choice> best_scaled(Columns const &columns,
                                                Blocks &blocks,
                                                Demand const &demand,
                                                Weights const &weights,
                                                Workspace &workspace);

/// The node with the least emissions among those that pass and meet slo_ms;
/// ties to the faster, then to the first. The score is minus the emissions.
/// Empty when there is none. Components are left empty.
[[nodiscard]] std::optional<Choice>
least_emissions(Columns const &columns, Blocks const &blocks, Demand const &demand);
} // namespace carbonedge
