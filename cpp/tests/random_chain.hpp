#pragma once

#include "carbonedge/chain.hpp"
#include "carbonedge/units.hpp"

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

/// A small problem in whole numbers, which make ties likely.
struct RandomChain
{
    std::size_t L;
    std::size_t N;
    std::vector<double> time, energy, memory, cut, capacity, per_j, per_ms, link_ms,
        mbps, link_j, link_per_j, overhead_ms, overhead_j;
    std::vector<std::int64_t> count;
    std::size_t source = carbonedge::kNoSource;

    RandomChain(std::mt19937 &random, std::size_t num_operators, std::size_t num_kinds)
        : L(num_operators), N(num_kinds)
    {
        auto const fill = [&](std::size_t size, unsigned most)
        {
            std::vector<double> values;
            for (std::size_t i = 0; i < size; ++i)
                values.push_back(static_cast<double>(random() % (most + 1)));
            return values;
        };
        time = fill(L * N, 9);
        energy = fill(L * N, 9);
        memory = fill(L, 5);
        cut = fill(L + 1, 4);
        capacity = fill(N, 20);
        per_j = fill(N, 9);
        per_ms = fill(N, 2);
        link_ms = fill(N * N, 3);
        for (auto &latency : link_ms)
            if (random() % 5 == 0)
                latency = carbonedge::kInfinity;
        mbps.assign(N * N, 8000.0);
        link_j = fill(N * N, 3);
        link_per_j = fill(N * N, 9);
        overhead_ms = fill(N, 2);
        overhead_j = fill(N, 2);
        for (std::size_t kind = 0; kind < N; ++kind)
            count.push_back(static_cast<std::int64_t>(1 + random() % 3 / 2));
        if (random() % 2 == 0)
        {
            source = random() % N;
            count[source] = 1;
        }
    }

    explicit RandomChain(std::mt19937 &random)
        : RandomChain(random, 1 + random() % 5, 1 + random() % 4)
    {
    }

    [[nodiscard]] carbonedge::Chain chain() const
    {
        return {time,
                energy,
                memory,
                cut,
                count,
                capacity,
                per_j,
                per_ms,
                link_ms,
                mbps,
                link_j,
                link_per_j,
                overhead_ms,
                overhead_j,
                source};
    }
};
