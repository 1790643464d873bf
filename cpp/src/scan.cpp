#include "carbonedge/scan.hpp"

#include "carbonedge/units.hpp"
#include "multiversion.hpp"

#include <algorithm>

namespace carbonedge
{
namespace
{
} // namespace

CARBONEDGE_MULTIVERSION
void widen(Spread &spread, Block const &block, Demand const &demand)
{
    auto const &open_cpu = block[Feature::open_cpu];
    auto const &free_memory = block[Feature::free_memory];
    auto const &per_cpu = block[Feature::per_cpu];
    auto const &per_memory = block[Feature::per_memory];
    auto const cpu = demand.cpu;
    auto const memory = demand.memory;

    // Nothing where a node passes, else infinite: keeps it out of every range.
    Lanes out;
    Lanes share;
#pragma omp simd
    for (std::size_t i = 0; i < kLanes; ++i)
    {
        bool const passes = (open_cpu[i] >= cpu) & (free_memory[i] >= memory);
        out[i] = passes ? 0.0 : kInfinity;
        share[i] = (open_cpu[i] - cpu) * per_cpu[i]
                   + (free_memory[i] - memory) * per_memory[i];
    }
    auto const take = [&out](Range &range, Lanes const &values)
    {
        auto low = range.low;
        auto high = range.high;
#pragma omp simd reduction(min : low) reduction(max : high)
        for (std::size_t i = 0; i < kLanes; ++i)
        {
            double const from = values[i] + out[i];
            double const to = values[i] - out[i];
            low = from < low ? from : low;
            high = to > high ? to : high;
        }
        range = {low, high};
    };
    auto &[ranges] = spread;
    take(ranges[0], share);
    take(ranges[1], block[Feature::headroom]);
    take(ranges[2], block[Feature::balance]);
    take(ranges[3], block[Feature::latency_ms]);
    take(ranges[4], block[Feature::emissions_g]);
}

Outlook
outlook_of(std::span<Block const> blocks, Demand const &demand, Weights const &weights)
{
    Spread spread;
    for (auto const &block : blocks)
        widen(spread, block, demand);
    return {demand, spread, gains_of(spread, weights)};
}

CARBONEDGE_MULTIVERSION
double score(Block const &block, Outlook const &outlook, Lanes &scores)
{
    auto const &open_cpu = block[Feature::open_cpu];
    auto const &free_memory = block[Feature::free_memory];
    auto const &per_cpu = block[Feature::per_cpu];
    auto const &per_memory = block[Feature::per_memory];
    auto const &headroom = block[Feature::headroom];
    auto const &latency = block[Feature::latency_ms];
    auto const &balance = block[Feature::balance];
    auto const &emissions = block[Feature::emissions_g];
    auto const cpu = outlook.demand.cpu;
    auto const memory = outlook.demand.memory;
    auto const gain = outlook.gains;
    auto const least_share = outlook.spread[Trait::share].low;
    auto const least_headroom = outlook.spread[Trait::headroom].low;
    auto const least_balance = outlook.spread[Trait::balance].low;
    auto const most_latency = outlook.spread[Trait::latency_ms].high;
    auto const most_emissions = outlook.spread[Trait::emissions_g].high;

    auto highest = -kInfinity;
#pragma omp simd reduction(max : highest)
    for (std::size_t i = 0; i < kLanes; ++i)
    {
        bool const passes = (open_cpu[i] >= cpu) & (free_memory[i] >= memory);
        double const share = (open_cpu[i] - cpu) * per_cpu[i]
                             + (free_memory[i] - memory) * per_memory[i];
        double const sum = (share - least_share) * gain.resource
                           + (headroom[i] - least_headroom) * gain.load
                           + (most_latency - latency[i]) * gain.performance
                           + (balance[i] - least_balance) * gain.balance
                           + (most_emissions - emissions[i]) * gain.carbon;
        double const own = passes ? sum : -kInfinity;
        scores[i] = own;
        highest = own > highest ? own : highest;
    }
    return highest;
}

Components scaled(Block const &block, std::size_t lane, Outlook const &outlook)
{
    auto const &spread = outlook.spread;
    auto const unit = gains_of(spread, {1.0, 1.0, 1.0, 1.0, 1.0});
    return {(share_left(block, outlook.demand, lane) - spread[Trait::share].low)
                * unit.resource,
            (block[Feature::headroom][lane] - spread[Trait::headroom].low) * unit.load,
            (spread[Trait::latency_ms].high - block[Feature::latency_ms][lane])
                * unit.performance,
            (block[Feature::balance][lane] - spread[Trait::balance].low) * unit.balance,
            (spread[Trait::emissions_g].high - block[Feature::emissions_g][lane])
                * unit.carbon};
}

std::optional<Choice> scan_merit(std::span<Block const> blocks, Demand const &demand)
{
    std::optional<Choice> best;
    auto highest = 0.0;
    for (std::size_t b = 0; b < blocks.size(); ++b)
        for (std::size_t lane = 0; lane < kLanes; ++lane)
            if (blocks[b].merit[lane] > highest && blocks[b].passes(demand, lane))
            {
                highest = blocks[b].merit[lane];
                best = Choice{b * kLanes + lane, highest};
            }
    return best;
}

std::optional<Choice> scan_scaled(std::span<Block const> blocks, Outlook const &outlook)
{
    if (outlook.spread.empty())
        return std::nullopt;
    auto highest = -kInfinity;
    std::size_t index = 0;
    Lanes scores;
    for (std::size_t b = 0; b < blocks.size(); ++b)
    {
        auto const top = score(blocks[b], outlook, scores);
        if (!(top > highest))
            continue;
        highest = top;
        index = b * kLanes + lane_of(scores, highest);
    }
    return Choice{index, highest};
}

std::optional<Choice>
scan_emissions(std::span<Block const> blocks, Demand const &demand, double slo_ms)
{
    std::optional<Choice> best;
    auto least = kInfinity;
    auto fastest = kInfinity;
    for (std::size_t b = 0; b < blocks.size(); ++b)
        for (std::size_t lane = 0; lane < kLanes; ++lane)
        {
            auto const emissions = blocks[b][Feature::emissions_g][lane];
            auto const latency = blocks[b][Feature::latency_ms][lane];
            auto const better =
                emissions < least || (emissions == least && latency < fastest);
            if (better && latency <= slo_ms && blocks[b].passes(demand, lane))
            {
                least = emissions;
                fastest = latency;
                best = Choice{b * kLanes + lane, -emissions};
            }
        }
    return best;
}
} // namespace carbonedge
