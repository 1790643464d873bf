#include "carbonedge/tree.hpp"

#include "carbonedge/scan.hpp"
#include "carbonedge/units.hpp"
#include "multiversion.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace carbonedge
{
namespace
{
// Some hundred times what rounding can make of the thirty terms of a bound, relative
// to the sum of their magnitudes.
constexpr auto kRounding = 1e-13;
constexpr unsigned kLongestRest = 64;

double largest(Range const &range)
{
    return std::max(std::abs(range.low), std::abs(range.high));
}

// Of no node.
Group const &empty_group()
{
    static auto const group = []
    {
        Group made{};
        for (auto &lanes : made.low)
            lanes.values.fill(kInfinity);
        for (auto &lanes : made.high)
            lanes.values.fill(-kInfinity);
        for (auto *lanes :
             {&made.most_cpu, &made.most_memory, &made.merit, &made.top, &made.peak})
            lanes->values.fill(-kInfinity);
        made.fastest.values.fill(kInfinity);
        made.era.values.fill(kInfinity);
        return made;
    }();
    return group;
}

// All but the spread, which comes first, and the bounds.
CARBONEDGE_MULTIVERSION
void summarise(Block const &block, Demand const &demand, Summary &summary)
{
    auto const &open_cpu = block[Feature::open_cpu];
    auto const &free_memory = block[Feature::free_memory];
    auto const &emissions = block[Feature::emissions_g];
    auto const &latency = block[Feature::latency_ms];
    auto const cpu = demand.cpu;
    auto const memory = demand.memory;
    auto const least = summary.spread[Trait::emissions_g].low;

    auto most_cpu = -kInfinity;
    auto most_memory = -kInfinity;
    auto merit = -kInfinity;
    auto fastest = kInfinity;
#pragma omp simd reduction(max : most_cpu, most_memory, merit) reduction(min : fastest)
    for (std::size_t i = 0; i < kLanes; ++i)
    {
        bool const passes = (open_cpu[i] >= cpu) & (free_memory[i] >= memory);
        double const barrier = passes ? 0.0 : kInfinity;
        double const own_cpu = open_cpu[i] - barrier;
        double const own_memory = free_memory[i] - barrier;
        double const own_merit = block.merit[i] - barrier;
        double const own_latency =
            emissions[i] + barrier == least ? latency[i] : kInfinity;
        most_cpu = own_cpu > most_cpu ? own_cpu : most_cpu;
        most_memory = own_memory > most_memory ? own_memory : most_memory;
        merit = own_merit > merit ? own_merit : merit;
        fastest = own_latency < fastest ? own_latency : fastest;
    }
    summary.most_cpu = most_cpu;
    summary.most_memory = most_memory;
    summary.merit = merit;
    summary.fastest = fastest;
}

CARBONEDGE_MULTIVERSION
void summarise(Group const &group, Bounds const &bounds, Summary &summary)
{
    auto const highest = [](Lanes const &values)
    {
        auto high = -kInfinity;
#pragma omp simd reduction(max : high)
        for (std::size_t i = 0; i < kLanes; ++i)
            high = values[i] > high ? values[i] : high;
        return high;
    };
    auto const lowest = [](Lanes const &values)
    {
        auto low = kInfinity;
#pragma omp simd reduction(min : low)
        for (std::size_t i = 0; i < kLanes; ++i)
            low = values[i] < low ? values[i] : low;
        return low;
    };
    summary.most_cpu = highest(group.most_cpu);
    summary.most_memory = highest(group.most_memory);
    summary.merit = highest(group.merit);
    summary.top = highest(bounds.tops);
    summary.peak = highest(bounds.peaks);
    for (std::size_t trait = 0; trait < kNumTraits; ++trait)
        summary.spread.ranges[trait] = {lowest(group.low[trait]),
                                        highest(group.high[trait])};

    auto const &emissions = group.lowest(Trait::emissions_g);
    auto const least = summary.spread[Trait::emissions_g].low;
    auto fastest = kInfinity;
#pragma omp simd reduction(min : fastest)
    for (std::size_t i = 0; i < kLanes; ++i)
    {
        double const own = emissions[i] == least ? group.fastest[i] : kInfinity;
        fastest = own < fastest ? own : fastest;
    }
    summary.fastest = fastest;
}

CARBONEDGE_MULTIVERSION
bool all_of_era(Group const &group, double era)
{
    auto oldest = kInfinity;
#pragma omp simd reduction(min : oldest)
    for (std::size_t i = 0; i < kLanes; ++i)
        oldest = group.era[i] < oldest ? group.era[i] : oldest;
    return oldest >= era;
}

// What a score is linear in, today.
struct Line
{
    Slopes slopes;
    double constant;
    double slack;
    double era;
};

CARBONEDGE_MULTIVERSION
void bound(Group const &group, Outlook const &outlook, Line const &line, Bounds &bounds)
{
    // The peak, and by how much at most today's slopes raise what is below it. What the
    // roundings of this come to is added here, each time that a peak is raised.
    Lanes raised = group.peak;
    Lanes size;
#pragma omp simd
    for (std::size_t i = 0; i < kLanes; ++i)
        size[i] = std::abs(raised[i]);
    for (std::size_t trait = 0; trait < kNumTraits; ++trait)
    {
        auto const &low = group.low[trait];
        auto const &high = group.high[trait];
        auto const &before = group.slopes[trait];
        auto const slope = line.slopes[trait];
#pragma omp simd
        for (std::size_t i = 0; i < kLanes; ++i)
        {
            double const more = slope - before[i];
            double const at_low = more * low[i];
            double const at_high = more * high[i];
            raised[i] += at_low > at_high ? at_low : at_high;
            double const below = std::abs(low[i]);
            double const above = std::abs(high[i]);
            size[i] += (std::abs(slope) + std::abs(before[i]))
                       * (below > above ? below : above);
        }
    }
#pragma omp simd
    for (std::size_t i = 0; i < kLanes; ++i)
        raised[i] += kRounding * size[i];

    auto const &share = group.highest(Trait::share);
    auto const &headroom = group.highest(Trait::headroom);
    auto const &balance = group.highest(Trait::balance);
    auto const &latency = group.lowest(Trait::latency_ms);
    auto const &emissions = group.lowest(Trait::emissions_g);
    auto const gain = outlook.gains;
    auto const least_share = outlook.spread[Trait::share].low;
    auto const least_headroom = outlook.spread[Trait::headroom].low;
    auto const least_balance = outlook.spread[Trait::balance].low;
    auto const most_latency = outlook.spread[Trait::latency_ms].high;
    auto const most_emissions = outlook.spread[Trait::emissions_g].high;
    auto const constant = line.constant;
    auto const slack = line.slack;
    auto const era = line.era;
#pragma omp simd
    for (std::size_t i = 0; i < kLanes; ++i)
    {
        bool const stale = group.era[i] < era;
        // The score of a node that is the best of its block in all.
        double const dream = (share[i] - least_share) * gain.resource
                             + (headroom[i] - least_headroom) * gain.load
                             + (most_latency - latency[i]) * gain.performance
                             + (balance[i] - least_balance) * gain.balance
                             + (most_emissions - emissions[i]) * gain.carbon;
        double const linear = raised[i] - constant + slack;
        double const least = dream < linear ? dream : linear;
        bounds.tops[i] = stale ? least : group.top[i];
        bounds.peaks[i] = stale ? raised[i] : group.peak[i];
    }
}

// Writes a value and tells whether it was another.
bool write(Lanes &lanes, std::size_t lane, double value)
{
    auto const changed = lanes[lane] != value;
    lanes[lane] = value;
    return changed;
}

std::size_t groups_of(std::size_t children)
{
    return (children + kLanes - 1) / kLanes;
}
} // namespace

Tree::Tree(std::span<Block const> blocks, Demand const &demand)
    : num_blocks_(blocks.size())
{
    outlook_.demand = demand;
    for (auto &range : outlook_.spread.ranges)
        range = {0.0, 0.0};

    levels_.emplace_back(groups_of(blocks.size()), empty_group());
    for (std::size_t b = 0; b < blocks.size(); ++b)
        put(levels_[0][b / kLanes], b % kLanes, summary_of(blocks[b]));
    while (levels_.back().size() > 1)
    {
        auto const &below = levels_.back();
        std::vector<Group> level(groups_of(below.size()), empty_group());
        for (std::size_t g = 0; g < below.size(); ++g)
            put(level[g / kLanes], g % kLanes, summary_of(below[g]));
        levels_.push_back(std::move(level));
    }
    root_ = summary_of(levels_.back().front());
}

Summary Tree::summary_of(Block const &block) const
{
    Summary summary;
    summary.spread = {};
    widen(summary.spread, block, outlook_.demand);
    summarise(block, outlook_.demand, summary);
    if (era_ == 0.0)
        // Nobody has asked for scores.
        summary.top = summary.spread.empty() ? -kInfinity : 0.0;
    else
    {
        Lanes scores;
        summary.top = score(block, outlook_, scores);
    }
    summary.peak = peak_within(summary.spread, summary.top);
    return summary;
}

Summary Tree::summary_of(Group const &group) const
{
    Summary summary;
    if (all_of_era(group, era_))
        summarise(group, {group.top, group.peak}, summary);
    else
    {
        Bounds bounds;
        bound(group, outlook_, {slopes_, constant_, slack_, era_}, bounds);
        summarise(group, bounds, summary);
    }
    return summary;
}

bool Tree::put_bounds(Group &group, std::size_t lane, double top, double peak)
{
    // Of no node, the bounds never grow old.
    auto const era = peak > -kInfinity ? era_ : kInfinity;
    auto changed = write(group.top, lane, top);
    changed |= write(group.peak, lane, peak);
    if (!write(group.era, lane, era))
        return changed;
    for (std::size_t trait = 0; trait < kNumTraits; ++trait)
        group.slopes[trait][lane] = slopes_[trait];
    return true;
}

bool Tree::put(Group &group, std::size_t lane, Summary const &summary)
{
    auto changed = put_bounds(group, lane, summary.top, summary.peak);
    changed |= write(group.most_cpu, lane, summary.most_cpu);
    changed |= write(group.most_memory, lane, summary.most_memory);
    changed |= write(group.fastest, lane, summary.fastest);
    changed |= write(group.merit, lane, summary.merit);
    for (std::size_t trait = 0; trait < kNumTraits; ++trait)
    {
        changed |= write(group.low[trait], lane, summary.spread.ranges[trait].low);
        changed |= write(group.high[trait], lane, summary.spread.ranges[trait].high);
    }
    return changed;
}

void Tree::refresh(Block const &block, std::size_t index)
{
    if (index == num_blocks_)
        grow();
    auto summary = summary_of(block);
    for (auto &level : levels_)
    {
        auto &group = level[index / kLanes];
        if (!put(group, index % kLanes, summary))
            return;
        summary = summary_of(group);
        index /= kLanes;
    }
    root_ = summary;
}

// Makes room for a block more.
void Tree::grow()
{
    auto children = ++num_blocks_;
    for (std::size_t level = 0;; ++level)
    {
        if (level == levels_.size())
        {
            auto const former = summary_of(levels_.back().front());
            levels_.emplace_back(1, empty_group());
            put(levels_.back().front(), 0, former);
        }
        children = groups_of(children);
        levels_[level].resize(children, empty_group());
        if (children == 1)
            return;
    }
}

void Tree::face_today(Weights const &weights)
{
    assert(!root_.spread.empty());
    if (era_ != 0.0 && outlook_.spread == root_.spread)
        return;
    auto const &spread = outlook_.spread = root_.spread;
    auto const gains = outlook_.gains = gains_of(spread, weights);
    slopes_ = {
        gains.resource, gains.load, gains.balance, -gains.performance, -gains.carbon};
    constant_ = spread[Trait::share].low * gains.resource
                + spread[Trait::headroom].low * gains.load
                + spread[Trait::balance].low * gains.balance
                - spread[Trait::latency_ms].high * gains.performance
                - spread[Trait::emissions_g].high * gains.carbon;
    auto size = 0.0;
    for (std::size_t trait = 0; trait < kNumTraits; ++trait)
        size += std::abs(slopes_[trait]) * largest(spread.ranges[trait]);
    slack_ = kRounding * size;
    era_ += 1.0;
}

// In real numbers top + constant. A block that changed after the spread was taken may
// lie far outside of it, so its own traits count too in what rounding may have made.
double Tree::peak_within(Spread const &spread, double top) const
{
    if (spread.empty())
        return -kInfinity;
    auto size = 0.0;
    for (std::size_t trait = 0; trait < kNumTraits; ++trait)
        size += std::abs(slopes_[trait]) * largest(spread.ranges[trait]);
    return top + constant_ + slack_ + kRounding * size;
}

double Tree::peak(std::size_t index, double top) const
{
    auto const &group = levels_[0][index / kLanes];
    auto const lane = index % kLanes;
    Spread spread;
    for (std::size_t trait = 0; trait < kNumTraits; ++trait)
        spread.ranges[trait] = {group.low[trait][lane], group.high[trait][lane]};
    return peak_within(spread, top);
}

bool Tree::worth_a_search()
{
    if (rest_ == 0)
        return true;
    --rest_;
    return false;
}

void Tree::tell(bool gave_up)
{
    rest_ = gave_up ? next_rest_ : 0;
    next_rest_ = gave_up ? std::min(2 * next_rest_, kLongestRest) : 1;
}

Bounds Tree::bounds(std::size_t level, std::size_t index) const
{
    auto const &group = levels_[level][index];
    if (all_of_era(group, era_))
        return {group.top, group.peak};
    Bounds bounds;
    bound(group, outlook_, {slopes_, constant_, slack_, era_}, bounds);
    return bounds;
}

void Tree::learn(std::size_t level, std::size_t child, double top, double peak)
{
    put_bounds(levels_[level][child / kLanes], child % kLanes, top, peak);
}
} // namespace carbonedge
