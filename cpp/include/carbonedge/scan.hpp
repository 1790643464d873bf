#pragma once

#include "carbonedge/block.hpp"
#include "carbonedge/outlook.hpp"
#include "carbonedge/scoring.hpp"

#include <cstddef>
#include <optional>
#include <span>

namespace carbonedge
{
/// The chosen node.
struct Choice
{
    std::size_t index;
    double score;
};

// Scans look at every node, whole vectors at a time, and say what is best. O(nodes).

/// Widens a spread by the nodes of a block that pass.
void widen(Spread &spread, Block const &block, Demand const &demand);

/// The outlook of a task: with the range of each trait over the nodes that pass.
[[nodiscard]] Outlook
outlook_of(std::span<Block const> blocks, Demand const &demand, Weights const &weights);

/// Scores a block into `scores`, -infinity where a node does not pass, and returns the
/// highest.
double score(Block const &block, Outlook const &outlook, Lanes &scores);

/// The components of a node's score, scaled.
[[nodiscard]] Components
scaled(Block const &block, std::size_t lane, Outlook const &outlook);

/// The node with the highest merit > 0 that passes, first of equals. Empty when there
/// is none.
[[nodiscard]] std::optional<Choice> scan_merit(std::span<Block const> blocks,
                                               Demand const &demand);

/// The node with the highest weighted sum of scaled components, first of equals.
/// Resource is the mean share of CPU and memory left free after placement,
/// performance falls with predicted latency, carbon with predicted emissions; each is
/// min-max scaled over the nodes that pass, and is 0 for all where it has no spread.
/// Empty when no node passes.
[[nodiscard]] std::optional<Choice> scan_scaled(std::span<Block const> blocks,
                                                Outlook const &outlook);

/// The node with the least emissions among those that pass and meet slo_ms; ties to
/// the faster, then to the first. The score is minus the emissions. Empty when there
/// is none.
[[nodiscard]] std::optional<Choice>
scan_emissions(std::span<Block const> blocks, Demand const &demand, double slo_ms);
} // namespace carbonedge
