#pragma once

#include "carbonedge/block.hpp"
#include "carbonedge/scan.hpp"
#include "carbonedge/scoring.hpp"
#include "carbonedge/tree.hpp"

#include <optional>
#include <span>

namespace carbonedge
{
// Searches say exactly what the scans of the same names say (scan.hpp), and look at few
// nodes. From the tree's root down, the most promising of sixteen is looked into first,
// and what cannot win is left out: what has a bound below the best found, or just as
// high and only later nodes. So all that must hold is that no bound is below a score
// that it bounds. For `normalized` there are three kinds, and the least is taken:
//
// - The score's own expression taken at the best of each trait. Its terms rise with the
//   traits and rounding keeps the order of sums and products, so it is never below a
//   score, to the last bit.
// - A top taken under today's outlook: the highest of scores themselves.
// - A peak taken under an earlier outlook. In real numbers a score is the sum of slope
//   times trait, less a constant. Where slopes have changed, a node's sum has risen by
//   the change of each slope times the trait, at most the larger of those at the lowest
//   and the highest trait. What rounding makes of a score, of a peak and of each raise
//   of it is less than a share of the magnitudes that went in, which is added where it
//   arises: it stays with the peak, however small later slopes may be.
//
// Today's outlook needs the spread of the traits over all nodes that pass: those of a
// tree are the nodes that pass its demand, so its root has it, exactly.
//
// O(log nodes) while few nodes compete. Beyond an eighth of all blocks a search gives
// up and scans: then the filters or the ties leave no choice but to look at all. Where
// searches keep giving up, most decisions are scans at once.

/// See scan_merit. The demand is no less than the tree's.
[[nodiscard]] std::optional<Choice>
best_merit(std::span<Block const> blocks, Tree &tree, Demand const &demand);

/// See scan_scaled, for tasks of the tree's demand.
[[nodiscard]] std::optional<Choice>
best_scaled(std::span<Block const> blocks, Tree &tree, Weights const &weights);

/// See scan_emissions. The demand is no less than the tree's.
[[nodiscard]] std::optional<Choice> least_emissions(std::span<Block const> blocks,
                                                    Tree &tree,
                                                    Demand const &demand,
                                                    double slo_ms);
} // namespace carbonedge
