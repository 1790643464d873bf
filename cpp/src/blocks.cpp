#include "carbonedge/blocks.hpp"

#include <algorithm>
#include <limits>

namespace carbonedge
{
Blocks::Blocks(Columns const &columns)
{
    auto const size = (columns.size() + kBlockSize - 1) / kBlockSize;
    for (auto *extremes : {&open_cpu,
                           &free_memory,
                           &per_cpu,
                           &per_memory,
                           &free_share,
                           &merit,
                           &headroom,
                           &balance,
                           &latency_ms,
                           &emissions_g})
    {
        extremes->low.resize(size);
        extremes->high.resize(size);
    }
    for (std::size_t block = 0; block < size; ++block)
        summarise(columns, block);
}

void Blocks::refresh(Columns const &columns, std::size_t index)
{
    summarise(columns, index / kBlockSize);
}

void Blocks::summarise(Columns const &columns, std::size_t block)
{
    constexpr auto kInfinity = std::numeric_limits<double>::infinity();
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
    take(per_cpu, columns.per_cpu);
    take(per_memory, columns.per_memory);
    take(free_share, columns.free_share);
    take(merit, columns.merit);
    take(headroom, columns.headroom);
    take(balance, columns.balance);
    take(latency_ms, columns.latency_ms);
    take(emissions_g, columns.emissions_g);
}
} // namespace carbonedge
