#include "carbonedge/search.hpp"

#include "carbonedge/units.hpp"

#include <algorithm>
#include <cassert>

namespace carbonedge
{
namespace
{

std::size_t first_node_below(std::size_t level, std::size_t child)
{
    static_assert(kLanes == 16);
    return child << (4 * (level + 1));
}

// Beyond this a scan is cheaper.
std::size_t most_looks(std::span<Block const> blocks)
{
    return 8 + blocks.size() / 8;
}

bool some_pass(Group const &group, Demand const &demand, std::size_t lane)
{
    return group.most_cpu[lane] >= demand.cpu
           && group.most_memory[lane] >= demand.memory;
}

// Goes down from a group, the most promising first. A search has `bounds(group)`, the
// most that may be found below each lane; `highest`, the most it has found;
// `wants(group, lane, bound, first node)`, whether a bound no lower than that is worth
// it; `look(block)`; and `looks_left`.
template <typename Search>
void descend(Tree const &tree, std::size_t level, std::size_t index, Search &search)
{
    auto const &group = tree.levels()[level][index];
    Lanes bounds = search.bounds(group);
    for (std::size_t turn = 0; turn < kLanes && search.looks_left > 0; ++turn)
    {
        auto const bound = highest_of(bounds);
        if (bound < search.highest || bound == -kInfinity)
            return;
        auto const lane = lane_of(bounds, bound);
        bounds[lane] = -kInfinity;
        auto const child = index * kLanes + lane;
        if (!search.wants(group, lane, bound, first_node_below(level, child)))
            continue;
        if (level > 0)
            descend(tree, level - 1, child, search);
        else
        {
            --search.looks_left;
            search.look(child);
        }
    }
}

struct MeritSearch
{
    std::span<Block const> blocks;
    Demand demand;
    std::size_t looks_left;
    double highest = 0.0;
    std::size_t index = 0;

    [[nodiscard]] Lanes bounds(Group const &group) const
    {
        Lanes result;
        for (std::size_t i = 0; i < kLanes; ++i)
            result[i] = some_pass(group, demand, i) ? group.merit[i] : -kInfinity;
        return result;
    }
    [[nodiscard]] bool
    wants(Group const &, std::size_t, double bound, std::size_t first_node) const
    {
        return bound > highest || first_node < index;
    }
    void look(std::size_t b)
    {
        for (std::size_t lane = 0; lane < kLanes; ++lane)
        {
            auto const merit = blocks[b].merit[lane];
            auto const node = b * kLanes + lane;
            auto const better = merit > highest || (merit == highest && node < index);
            if (better && blocks[b].passes(demand, lane))
            {
                highest = merit;
                index = node;
            }
        }
    }
};

// `highest` is minus the least emissions.
struct EmissionsSearch
{
    std::span<Block const> blocks;
    Demand demand;
    double slo_ms;
    std::size_t looks_left;
    double highest = -kInfinity;
    double fastest = kInfinity;
    std::size_t index = 0;

    [[nodiscard]] Lanes bounds(Group const &group) const
    {
        Lanes result;
        for (std::size_t i = 0; i < kLanes; ++i)
        {
            auto const possible = some_pass(group, demand, i)
                                  && group.lowest(Trait::latency_ms)[i] <= slo_ms;
            result[i] = possible ? -group.lowest(Trait::emissions_g)[i] : -kInfinity;
        }
        return result;
    }
    [[nodiscard]] bool wants(Group const &group,
                             std::size_t lane,
                             double bound,
                             std::size_t first_node) const
    {
        auto const latency = group.fastest[lane];
        return bound > highest || latency < fastest
               || (latency == fastest && first_node < index);
    }
    void look(std::size_t b)
    {
        for (std::size_t lane = 0; lane < kLanes; ++lane)
        {
            auto const saved = -blocks[b][Feature::emissions_g][lane];
            auto const latency = blocks[b][Feature::latency_ms][lane];
            auto const node = b * kLanes + lane;
            auto const better =
                saved > highest
                || (saved == highest
                    && (latency < fastest || (latency == fastest && node < index)));
            if (better && latency <= slo_ms && blocks[b].passes(demand, lane))
            {
                highest = saved;
                fastest = latency;
                index = node;
            }
        }
    }
};

// The best score, and closer bounds as they come out on the way.
class ScaledSearch
{
public:
    ScaledSearch(std::span<Block const> blocks, Tree &tree)
        : blocks_(blocks), tree_(tree), looks_left_(most_looks(blocks))
    {
    }

    // Returns the highest top and peak below a group.
    std::pair<double, double> below(std::size_t level, std::size_t group)
    {
        auto [tops, peaks] = tree_.bounds(level, group);
        auto waiting = tops;
        for (std::size_t turn = 0; turn < kLanes && looks_left_ > 0; ++turn)
        {
            auto const bound = highest_of(waiting);
            auto const lane = lane_of(waiting, bound);
            auto const child = group * kLanes + lane;
            auto const wanted =
                bound > highest_
                || (bound == highest_ && first_node_below(level, child) < index_);
            if (!wanted)
                break;
            waiting[lane] = -kInfinity;
            looks_left_ -= level == 0 ? 1 : 0;
            auto const [top, peak] = level == 0 ? look(child) : below(level - 1, child);
            tops[lane] = top;
            peaks[lane] = peak;
            tree_.learn(level, child, top, peak);
        }
        return {highest_of(tops), highest_of(peaks)};
    }

    // Looks into all blocks, in order, and takes every bound anew.
    void sweep()
    {
        highest_ = -kInfinity;
        index_ = 0;
        for (std::size_t b = 0; b < blocks_.size(); ++b)
        {
            auto const [top, peak] = look(b);
            tree_.learn(0, b, top, peak);
        }
        for (std::size_t level = 1; level < tree_.levels().size(); ++level)
            for (std::size_t g = 0; g < tree_.levels()[level - 1].size(); ++g)
            {
                auto const [tops, peaks] = tree_.bounds(level - 1, g);
                tree_.learn(level, g, highest_of(tops), highest_of(peaks));
            }
    }

    [[nodiscard]] bool gave_up() const { return looks_left_ == 0; }
    [[nodiscard]] double highest() const { return highest_; }
    [[nodiscard]] std::size_t index() const { return index_; }

private:
    std::pair<double, double> look(std::size_t b)
    {
        Lanes scores;
        auto const top = score(blocks_[b], tree_.outlook(), scores);
        if (top > highest_ || (top == highest_ && b * kLanes < index_))
        {
            highest_ = top;
            index_ = b * kLanes + lane_of(scores, top);
        }
        return {top, tree_.peak(b, top)};
    }

    std::span<Block const> blocks_;
    Tree &tree_;
    std::size_t looks_left_;
    double highest_ = -kInfinity;
    std::size_t index_ = 0;
};
} // namespace

std::optional<Choice>
best_merit(std::span<Block const> blocks, Tree &tree, Demand const &demand)
{
    if (!tree.worth_a_search())
        return scan_merit(blocks, demand);
    MeritSearch search{blocks, demand, most_looks(blocks)};
    descend(tree, tree.levels().size() - 1, 0, search);
    tree.tell(search.looks_left == 0);
    if (search.looks_left == 0)
        return scan_merit(blocks, demand);
    if (search.highest == 0.0)
        return std::nullopt;
    return Choice{search.index, search.highest};
}

std::optional<Choice> least_emissions(std::span<Block const> blocks,
                                      Tree &tree,
                                      Demand const &demand,
                                      double slo_ms)
{
    if (!tree.worth_a_search())
        return scan_emissions(blocks, demand, slo_ms);
    EmissionsSearch search{blocks, demand, slo_ms, most_looks(blocks)};
    descend(tree, tree.levels().size() - 1, 0, search);
    tree.tell(search.looks_left == 0);
    if (search.looks_left == 0)
        return scan_emissions(blocks, demand, slo_ms);
    if (search.highest == -kInfinity)
        return std::nullopt;
    return Choice{search.index, search.highest};
}

std::optional<Choice>
best_scaled(std::span<Block const> blocks, Tree &tree, Weights const &weights)
{
    if (tree.root().spread.empty())
        return std::nullopt;
    tree.face_today(weights);
    ScaledSearch search(blocks, tree);
    search.below(tree.levels().size() - 1, 0);
    if (search.gave_up())
        search.sweep();
    assert(search.highest() > -kInfinity);
    return Choice{search.index(), search.highest()};
}
} // namespace carbonedge
