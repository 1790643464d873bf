#pragma once

#include "carbonedge/block.hpp"
#include "carbonedge/lanes.hpp"
#include "carbonedge/outlook.hpp"
#include "carbonedge/scoring.hpp"

#include <array>
#include <cstddef>
#include <span>
#include <vector>

namespace carbonedge
{
/// What is known of a set of nodes, counting only those that pass a tree's demand.
/// All but the last two is exact; those may be too high.
struct Summary
{
    Spread spread;
    double most_cpu;    ///< open
    double most_memory; ///< free
    double fastest;     ///< latency of the fastest of those with least emissions
    double merit;       ///< highest
    double top;         ///< no score is above it
    double peak;        ///< no sum of slope times trait is above it
};

/// How a score rises with each trait: under one outlook a score is, but for rounding,
/// the sum of slope times trait, less a constant.
using Slopes = std::array<double, kNumTraits>;

/// Sixteen summaries, column by column. `top` and `peak` hold under the outlook of the
/// era, and for the slopes, that stand beside them.
struct Group
{
    std::array<Lanes, kNumTraits> low;
    std::array<Lanes, kNumTraits> high;
    Lanes most_cpu;
    Lanes most_memory;
    Lanes fastest;
    Lanes merit;
    Lanes top;
    Lanes peak;
    Lanes era;
    std::array<Lanes, kNumTraits> slopes;

    [[nodiscard]] Lanes const &lowest(Trait trait) const
    {
        return low[static_cast<std::size_t>(trait)];
    }
    [[nodiscard]] Lanes const &highest(Trait trait) const
    {
        return high[static_cast<std::size_t>(trait)];
    }
};

/// What no score, and no sum of slope times trait, below each lane of a group is above.
struct Bounds
{
    Lanes tops;
    Lanes peaks;
};

/// For tasks of one demand, a summary of every block of nodes, of every sixteen of
/// those, and so on up to one of all.
class Tree
{
public:
    /// Of at least one block. O(nodes).
    Tree(std::span<Block const> blocks, Demand const &demand);

    /// Brings all up to date with a block that has changed or, just behind the last,
    /// is new. O(log nodes).
    void refresh(Block const &block, std::size_t index);

    /// Turns tops and peaks to the scores of today, which the root makes with weights
    /// that stay the same for life. At least one node must pass.
    void face_today(Weights const &weights);

    [[nodiscard]] Demand const &demand() const { return outlook_.demand; }
    [[nodiscard]] Summary const &root() const { return root_; }
    [[nodiscard]] Outlook const &outlook() const { return outlook_; }

    /// Level 0 holds the summaries of blocks, the last level one group.
    [[nodiscard]] std::vector<std::vector<Group>> const &levels() const
    {
        return levels_;
    }

    /// Of a group, under today's outlook.
    [[nodiscard]] Bounds bounds(std::size_t level, std::size_t group) const;

    /// The peak of a block, given its highest score under today's outlook.
    [[nodiscard]] double peak(std::size_t index, double top) const;

    /// Takes closer bounds, under today's outlook, of what a lane sums up. Those of the
    /// lanes that sum up its group are to follow, or stay wider than they need be.
    void learn(std::size_t level, std::size_t child, double top, double peak);

    /// Whether a search is worth its while: after each that gave up, twice as many
    /// decisions as after the last are left to scans, up to 64.
    [[nodiscard]] bool worth_a_search();
    void tell(bool gave_up);

private:
    [[nodiscard]] Summary summary_of(Block const &block) const;
    [[nodiscard]] Summary summary_of(Group const &group) const;
    [[nodiscard]] double peak_within(Spread const &spread, double top) const;
    bool put(Group &group, std::size_t lane, Summary const &summary);
    bool put_bounds(Group &group, std::size_t lane, double top, double peak);
    void grow();

    std::vector<std::vector<Group>> levels_;
    std::size_t num_blocks_ = 0;
    Summary root_{};

    // Before the first decision every score is 0.
    Outlook outlook_{};
    Slopes slopes_{};
    double constant_ = 0.0;
    double slack_ = 0.0;
    double era_ = 0.0;

    unsigned rest_ = 0;
    unsigned next_rest_ = 1;
};
} // namespace carbonedge
