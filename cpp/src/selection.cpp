#include "carbonedge/selection.hpp"

#include "multiversion.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

namespace carbonedge
{
namespace
{
constexpr auto kInfinity = std::numeric_limits<double>::infinity();
// Its reciprocal times any weight is still finite.
constexpr auto kSmallestSpread = 1e-280;

struct Range
{
    double low = kInfinity;
    double high = -kInfinity;

    void widen(Range const &other)
    {
        low = std::min(low, other.low);
        high = std::max(high, other.high);
    }

    // Makes the range one wide; 0 where it has no spread.
    [[nodiscard]] double scale() const
    {
        auto const spread = high - low;
        return spread >= kSmallestSpread ? 1.0 / spread : 0.0;
    }
};

// The range of each component over the nodes that pass.
struct Spread
{
    Range share;
    Range headroom;
    Range latency_ms;
    Range balance;
    Range emissions_g;

    // What a component's distance from its worst counts in the score.
    [[nodiscard]] Weights gains(Weights const &weights) const
    {
        return {weights.resource * share.scale(),
                weights.load * headroom.scale(),
                weights.performance * latency_ms.scale(),
                weights.balance * balance.scale(),
                weights.carbon * emissions_g.scale()};
    }
};

struct Stretch
{
    std::size_t start;
    std::size_t stop;
};

Stretch nodes_of(Columns const &columns, std::size_t block)
{
    auto const start = block * kBlockSize;
    return {start, std::min(columns.size(), start + kBlockSize)};
}

bool passes(Columns const &columns, Demand const &demand, std::size_t index)
{
    return columns.open_cpu[index] >= demand.cpu
           && columns.free_memory[index] >= demand.memory;
}

bool none_passes(Blocks const &blocks, Demand const &demand, std::size_t block)
{
    return blocks.open_cpu.high[block] < demand.cpu
           || blocks.free_memory.high[block] < demand.memory;
}

double share_left(Columns const &columns, Demand const &demand, std::size_t index)
{
    return (columns.open_cpu[index] - demand.cpu) * columns.per_cpu[index]
           + (columns.free_memory[index] - demand.memory) * columns.per_memory[index];
}

// The lowest of `lows` and highest of `highs` over those blocks all of whose open
// nodes pass.
CARBONEDGE_MULTIVERSION
Range range_of_whole_blocks(Extremes const &extremes,
                            Blocks const &blocks,
                            Demand const &demand)
{
    auto const *lows = extremes.low.data();
    auto const *highs = extremes.high.data();
    auto const *least_cpu = blocks.open_cpu.low.data();
    auto const *least_memory = blocks.free_memory.low.data();
    auto const cpu = demand.cpu;
    auto const memory = demand.memory;
    auto const size = blocks.size();

    auto low = kInfinity;
    auto high = -kInfinity;
#pragma omp simd reduction(min : low) reduction(max : high)
    for (std::size_t b = 0; b < size; ++b)
    {
        bool const whole = (least_cpu[b] >= cpu) & (least_memory[b] >= memory);
        double const from = whole ? lows[b] : kInfinity;
        double const to = whole ? highs[b] : -kInfinity;
        low = from < low ? from : low;
        high = to > high ? to : high;
    }
    return {low, high};
}

// The range of one column over the nodes that pass. Blocks that pass whole have
// theirs ready; of those in `divided` only such are read as could widen it.
Range column_range(std::span<double const> values,
                   Extremes const &extremes,
                   Columns const &columns,
                   Blocks const &blocks,
                   Demand const &demand,
                   std::vector<std::size_t> const &divided)
{
    auto range = range_of_whole_blocks(extremes, blocks, demand);
    for (auto const b : divided)
    {
        if (extremes.low[b] >= range.low && extremes.high[b] <= range.high)
            continue;
        auto const [start, stop] = nodes_of(columns, b);
        for (auto i = start; i < stop; ++i)
            if (passes(columns, demand, i))
                range.widen({values[i], values[i]});
    }
    return range;
}

bool divides(Blocks const &blocks, Demand const &demand, std::size_t b)
{
    bool const whole = (blocks.open_cpu.low[b] >= demand.cpu)
                       & (blocks.free_memory.low[b] >= demand.memory);
    bool const some = (blocks.open_cpu.high[b] >= demand.cpu)
                      & (blocks.free_memory.high[b] >= demand.memory);
    return some & !whole;
}

CARBONEDGE_MULTIVERSION
bool any_divided(Blocks const &blocks, Demand const &demand)
{
    auto const *least_cpu = blocks.open_cpu.low.data();
    auto const *most_cpu = blocks.open_cpu.high.data();
    auto const *least_memory = blocks.free_memory.low.data();
    auto const *most_memory = blocks.free_memory.high.data();
    auto const cpu = demand.cpu;
    auto const memory = demand.memory;
    auto const size = blocks.size();

    auto count = 0.0;
#pragma omp simd reduction(+ : count)
    for (std::size_t b = 0; b < size; ++b)
    {
        bool const whole = (least_cpu[b] >= cpu) & (least_memory[b] >= memory);
        bool const some = (most_cpu[b] >= cpu) & (most_memory[b] >= memory);
        count += some & !whole ? 1.0 : 0.0;
    }
    return count > 0.0;
}

// Blocks of which some nodes pass and others do not: often none.
void find_divided(Blocks const &blocks,
                  Demand const &demand,
                  std::vector<std::size_t> &divided)
{
    divided.clear();
    if (!any_divided(blocks, demand))
        return;
    for (std::size_t b = 0; b < blocks.size(); ++b)
        if (divides(blocks, demand, b))
            divided.push_back(b);
}

// The lowest low and the highest high of all blocks.
CARBONEDGE_MULTIVERSION
Range range_of_all(Extremes const &extremes)
{
    auto const *lows = extremes.low.data();
    auto const *highs = extremes.high.data();
    auto const size = extremes.low.size();

    auto low = kInfinity;
    auto high = -kInfinity;
#pragma omp simd reduction(min : low) reduction(max : high)
    for (std::size_t b = 0; b < size; ++b)
    {
        low = lows[b] < low ? lows[b] : low;
        high = highs[b] > high ? highs[b] : high;
    }
    return {low, high};
}

// The largest magnitude of a component over the nodes that pass, times its gain.
double size_of(Range const &range, double gain, double leaning)
{
    return std::max(std::abs(range.low), std::abs(range.high))
           * std::max(gain, leaning);
}

// What rounding may take from the sums below, generously. Beyond kUnsure they may
// overflow.
double slack_of(Spread const &spread, Weights const &gains, Weights const &leaning)
{
    constexpr auto kRounding = 1e-13;
    constexpr auto kUnsure = 1e100;
    auto const slack =
        kRounding
        * (size_of(spread.share, gains.resource, leaning.resource)
           + size_of(spread.headroom, gains.load, leaning.load)
           + size_of(spread.latency_ms, gains.performance, leaning.performance)
           + size_of(spread.balance, gains.balance, leaning.balance)
           + size_of(spread.emissions_g, gains.carbon, leaning.carbon));
    return slack < kUnsure ? slack : kInfinity;
}

// What no score in a block is above, -infinity where no node passes: the block's peak,
// and by how much these gains differ from the peak's at the block's extremes. Returns
// the highest.
CARBONEDGE_MULTIVERSION
double bound_scores(Blocks const &blocks,
                    Spread const &spread,
                    Weights const &gains,
                    double *bounds)
{
    auto const &lean = blocks.leaning;
    Weights const more{gains.resource - lean.resource,
                       gains.load - lean.load,
                       gains.performance - lean.performance,
                       gains.balance - lean.balance,
                       gains.carbon - lean.carbon};
    auto const merit = [](Extremes const &extremes, double factor)
    { return (factor >= 0.0 ? extremes.high : extremes.low).data(); };
    auto const cost = [](Extremes const &extremes, double factor)
    { return (factor >= 0.0 ? extremes.low : extremes.high).data(); };

    auto const *peaks = blocks.peaks.data();
    auto const *share = merit(blocks.share_left, more.resource);
    auto const *headroom = merit(blocks.headroom, more.load);
    auto const *latency = cost(blocks.latency_ms, more.performance);
    auto const *balance = merit(blocks.balance, more.balance);
    auto const *emissions = cost(blocks.emissions_g, more.carbon);
    auto const worst =
        spread.share.low * gains.resource + spread.headroom.low * gains.load
        - spread.latency_ms.high * gains.performance
        + spread.balance.low * gains.balance - spread.emissions_g.high * gains.carbon;
    auto const slack = slack_of(spread, gains, lean);
    auto const *best_share = blocks.share_left.high.data();
    auto const size = blocks.size();
    if (slack == kInfinity)
    {
        for (std::size_t b = 0; b < size; ++b)
            bounds[b] = best_share[b] > -kInfinity ? kInfinity : -kInfinity;
        return kInfinity;
    }
    auto best = -kInfinity;
#pragma omp simd reduction(max : best)
    for (std::size_t b = 0; b < size; ++b)
    {
        bool const some = best_share[b] > -kInfinity;
        double const score = peaks[b] + share[b] * more.resource
                             + headroom[b] * more.load - latency[b] * more.performance
                             + balance[b] * more.balance - emissions[b] * more.carbon
                             - worst + slack;
        double const bound = some ? score : -kInfinity;
        bounds[b] = bound;
        best = bound > best ? bound : best;
    }
    return best;
}

Components scaled(Columns const &columns,
                  Demand const &demand,
                  Spread const &spread,
                  Weights const &gains,
                  std::size_t index)
{
    return {(share_left(columns, demand, index) - spread.share.low) * gains.resource,
            (columns.headroom[index] - spread.headroom.low) * gains.load,
            (spread.latency_ms.high - columns.latency_ms[index]) * gains.performance,
            (columns.balance[index] - spread.balance.low) * gains.balance,
            (spread.emissions_g.high - columns.emissions_g[index]) * gains.carbon};
}

// Scores a stretch of nodes into `scores`, -infinity where one does not pass, and
// returns the highest.
CARBONEDGE_MULTIVERSION
double score_nodes(Columns const &columns,
                   Demand const &demand,
                   Spread const &spread,
                   Weights const &gains,
                   Stretch const &nodes,
                   double *scores)
{
    auto const *open_cpu = columns.open_cpu.data();
    auto const *free_memory = columns.free_memory.data();
    auto const *per_cpu = columns.per_cpu.data();
    auto const *per_memory = columns.per_memory.data();
    auto const *headroom = columns.headroom.data();
    auto const *balance = columns.balance.data();
    auto const *latency = columns.latency_ms.data();
    auto const *emissions = columns.emissions_g.data();
    auto const cpu = demand.cpu;
    auto const memory = demand.memory;
    auto const worst = spread;
    auto const gain = gains;

    auto best = -kInfinity;
#pragma omp simd reduction(max : best)
    for (std::size_t i = nodes.start; i < nodes.stop; ++i)
    {
        bool const counts = (open_cpu[i] >= cpu) & (free_memory[i] >= memory);
        double const share = (open_cpu[i] - cpu) * per_cpu[i]
                             + (free_memory[i] - memory) * per_memory[i];
        double const score = (share - worst.share.low) * gain.resource
                             + (headroom[i] - worst.headroom.low) * gain.load
                             + (worst.latency_ms.high - latency[i]) * gain.performance
                             + (balance[i] - worst.balance.low) * gain.balance
                             + (worst.emissions_g.high - emissions[i]) * gain.carbon;
        double const value = counts ? score : -kInfinity;
        scores[i - nodes.start] = value;
        best = value > best ? value : best;
    }
    return best;
}
} // namespace

std::optional<Choice>
best_merit(Columns const &columns, Blocks const &blocks, Demand const &demand)
{
    std::optional<Choice> best;
    auto highest = 0.0;
    for (std::size_t b = 0; b < blocks.size(); ++b)
    {
        if (blocks.merit.high[b] <= highest || none_passes(blocks, demand, b))
            continue;
        auto const [start, stop] = nodes_of(columns, b);
        for (auto i = start; i < stop; ++i)
            if (columns.merit[i] > highest && passes(columns, demand, i))
            {
                highest = columns.merit[i];
                best = Choice{i, highest, {}};
            }
    }
    return best;
}

std::optional<Choice> best_scaled(Columns const &columns,
                                  Blocks &blocks,
                                  Demand const &demand,
                                  Weights const &weights,
                                  Workspace &workspace)
{
    if (blocks.size() == 0)
        return std::nullopt;
    blocks.prepare(columns, demand.cpu, demand.memory);
    auto &[bounds, divided, looks] = workspace;
    bounds.resize(blocks.size());
    find_divided(blocks, demand, divided);
    auto const range = [&](std::span<double const> values, Extremes const &extremes)
    { return column_range(values, extremes, columns, blocks, demand, divided); };
    Spread const spread{range_of_all(blocks.share_left),
                        range(columns.headroom, blocks.headroom),
                        range(columns.latency_ms, blocks.latency_ms),
                        range(columns.balance, blocks.balance),
                        range(columns.emissions_g, blocks.emissions_g)};
    if (spread.share.high == -kInfinity)
        return std::nullopt;

    auto const gains = spread.gains(weights);
    auto const highest_bound = bound_scores(blocks, spread, gains, bounds.data());

    auto index = columns.size();
    auto highest = -kInfinity;
    double scores[kBlockSize];
    auto const look_into = [&](std::size_t b)
    {
        ++looks;
        auto const nodes = nodes_of(columns, b);
        auto const score = score_nodes(columns, demand, spread, gains, nodes, scores);
        if (score < highest || (score == highest && nodes.start > index))
            return;
        highest = score;
        index =
            nodes.start
            + static_cast<std::size_t>(
                std::find(scores, scores + (nodes.stop - nodes.start), score) - scores);
    };
    // The most promising block first, so that most others need no look.
    auto const first = std::find(bounds.begin(), bounds.end(), highest_bound);
    look_into(static_cast<std::size_t>(first - bounds.begin()));
    for (std::size_t b = 0; b < blocks.size(); ++b)
        if (bounds[b] >= highest)
            look_into(b);

    // Looks enough to pay for closer bounds.
    if (looks > blocks.size())
    {
        looks = 0;
        blocks.lean(columns, gains);
    }

    assert(index < columns.size());
    auto const unit = spread.gains({1.0, 1.0, 1.0, 1.0, 1.0});
    return Choice{index, highest, scaled(columns, demand, spread, unit, index)};
}

std::optional<Choice>
least_emissions(Columns const &columns, Blocks const &blocks, Demand const &demand)
{
    std::optional<Choice> best;
    auto least = kInfinity;
    auto fastest = kInfinity;
    for (std::size_t b = 0; b < blocks.size(); ++b)
    {
        if (blocks.emissions_g.low[b] > least
            || blocks.latency_ms.low[b] > demand.slo_ms
            || none_passes(blocks, demand, b))
            continue;
        auto const [start, stop] = nodes_of(columns, b);
        for (auto i = start; i < stop; ++i)
        {
            auto const emissions = columns.emissions_g[i];
            auto const latency = columns.latency_ms[i];
            auto const better =
                emissions < least || (emissions == least && latency < fastest);
            if (better && latency <= demand.slo_ms && passes(columns, demand, i))
            {
                least = emissions;
                fastest = latency;
                best = Choice{i, -emissions, {}};
            }
        }
    }
    return best;
}
} // namespace carbonedge
