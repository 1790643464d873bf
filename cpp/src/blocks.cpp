#include "carbonedge/blocks.hpp"

#include "multiversion.hpp"

#include <algorithm>
#include <limits>

namespace carbonedge
{
namespace
{
constexpr auto kInfinity = std::numeric_limits<double>::infinity();

struct Shares
{
    double low;
    double high;
    double peak;
};

CARBONEDGE_MULTIVERSION
Shares shares_of(Columns const &columns,
                 double cpu,
                 double memory,
                 Weights const &leaning,
                 std::size_t start,
                 std::size_t stop)
{
    auto const *open_cpu = columns.open_cpu.data();
    auto const *free_memory = columns.free_memory.data();
    auto const *per_cpu = columns.per_cpu.data();
    auto const *per_memory = columns.per_memory.data();
    auto const *headroom = columns.headroom.data();
    auto const *latency = columns.latency_ms.data();
    auto const *balance = columns.balance.data();
    auto const *emissions = columns.emissions_g.data();
    auto const gain = leaning;

    auto low = kInfinity;
    auto high = -kInfinity;
    auto peak = -kInfinity;
#pragma omp simd reduction(min : low) reduction(max : high, peak)
    for (std::size_t i = start; i < stop; ++i)
    {
        bool const counts = (open_cpu[i] >= cpu) & (free_memory[i] >= memory);
        double const share = (open_cpu[i] - cpu) * per_cpu[i]
                             + (free_memory[i] - memory) * per_memory[i];
        double const sum = share * gain.resource + headroom[i] * gain.load
                           - latency[i] * gain.performance + balance[i] * gain.balance
                           - emissions[i] * gain.carbon;
        double const from = counts ? share : kInfinity;
        double const to = counts ? share : -kInfinity;
        double const top = counts ? sum : -kInfinity;
        low = from < low ? from : low;
        high = to > high ? to : high;
        peak = top > peak ? top : peak;
    }
    return {low, high, peak};
}
} // namespace

Blocks::Blocks(Columns const &columns)
{
    auto const size = (columns.size() + kBlockSize - 1) / kBlockSize;
    for (auto *extremes : {&open_cpu,
                           &free_memory,
                           &merit,
                           &headroom,
                           &balance,
                           &latency_ms,
                           &emissions_g,
                           &share_left})
    {
        extremes->low.resize(size);
        extremes->high.resize(size);
    }
    peaks.resize(size);
    for (std::size_t block = 0; block < size; ++block)
        summarise(columns, block);
}

void Blocks::refresh(Columns const &columns, std::size_t index)
{
    summarise(columns, index / kBlockSize);
    summarise_task(columns, index / kBlockSize);
}

void Blocks::summarise(Columns const &columns, std::size_t block)
{
    auto const start = block * kBlockSize;
    auto const stop = std::min(columns.size(), start + kBlockSize);
    auto const take = [&](Extremes &extremes, std::span<double const> values)
    {
        auto low = kInfinity;
        auto high = -kInfinity;
        for (auto i = start; i < stop; ++i)
        {
            auto const open = columns.open_cpu[i] >= 0.0;
            low = std::min(low, open ? values[i] : kInfinity);
            high = std::max(high, open ? values[i] : -kInfinity);
        }
        extremes.low[block] = low;
        extremes.high[block] = high;
    };
    take(open_cpu, columns.open_cpu);
    take(free_memory, columns.free_memory);
    take(merit, columns.merit);
    take(headroom, columns.headroom);
    take(balance, columns.balance);
    take(latency_ms, columns.latency_ms);
    take(emissions_g, columns.emissions_g);
}

void Blocks::prepare(Columns const &columns, double cpu, double memory)
{
    if (cpu == cpu_ && memory == memory_)
        return;
    cpu_ = cpu;
    memory_ = memory;
    for (std::size_t block = 0; block < size(); ++block)
        summarise_task(columns, block);
}

void Blocks::summarise_task(Columns const &columns, std::size_t block)
{
    auto const start = block * kBlockSize;
    auto const stop = std::min(columns.size(), start + kBlockSize);
    auto const [low, high, peak] =
        shares_of(columns, cpu_, memory_, leaning, start, stop);
    share_left.low[block] = low;
    share_left.high[block] = high;
    peaks[block] = peak;
}

void Blocks::lean(Columns const &columns, Weights const &gains)
{
    leaning = gains;
    for (std::size_t block = 0; block < size(); ++block)
        summarise_task(columns, block);
}
} // namespace carbonedge
