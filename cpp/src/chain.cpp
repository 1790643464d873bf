#include "carbonedge/chain.hpp"

#include "carbonedge/units.hpp"

#include <cmath>
#include <optional>
#include <vector>

namespace carbonedge
{
namespace
{
using Matrix = std::vector<double>;

// A kind of one node has no second one to hop to.
bool no_link(Chain const &chain, std::size_t link)
{
    auto const from = link / chain.num_kinds();
    auto const to = link % chain.num_kinds();
    return std::isinf(chain.link_latency_ms[link])
           || (from == to && chain.count[from] == 1);
}

// Where no link is, no measure may see one.
Matrix fixed_costs(Chain const &chain, bool count_latency)
{
    Matrix fixed;
    fixed.reserve(chain.link_latency_ms.size());
    for (std::size_t link = 0; link < chain.link_latency_ms.size(); ++link)
        fixed.push_back(no_link(chain, link) ? kInfinity
                        : count_latency      ? chain.link_latency_ms[link]
                                             : 0.0);
    return fixed;
}
} // namespace

ChainCosts latency_of(Chain const &chain)
{
    Matrix per_mb;
    per_mb.reserve(chain.link_mbps.size());
    for (auto const mbps : chain.link_mbps)
        per_mb.push_back(kMegabitsPerMb * kMsPerSecond / mbps);
    return {chain.time_ms,
            chain.stage_overhead_ms,
            fixed_costs(chain, true),
            per_mb,
            chain.cut_mb,
            chain.source};
}

ChainCosts energy_of(Chain const &chain)
{
    return {chain.energy_j,
            chain.stage_overhead_j,
            fixed_costs(chain, false),
            chain.link_j_per_mb,
            chain.cut_mb,
            chain.source};
}

ChainCosts emissions_of(Chain const &chain)
{
    auto const num_kinds = chain.num_kinds();
    auto const grams = [&](double energy_j, double time_ms, std::size_t node)
    { return energy_j * chain.grams_per_j[node] + time_ms * chain.grams_per_ms[node]; };

    Matrix operators;
    operators.reserve(chain.time_ms.size());
    for (std::size_t i = 0; i < chain.time_ms.size(); ++i)
        operators.push_back(grams(chain.energy_j[i], chain.time_ms[i], i % num_kinds));

    Matrix overhead;
    for (std::size_t node = 0; node < num_kinds; ++node)
        overhead.push_back(
            grams(chain.stage_overhead_j[node], chain.stage_overhead_ms[node], node));

    Matrix per_mb;
    for (std::size_t link = 0; link < chain.link_j_per_mb.size(); ++link)
        per_mb.push_back(chain.link_j_per_mb[link] * chain.link_grams_per_j[link]);

    return {operators,
            overhead,
            fixed_costs(chain, false),
            per_mb,
            chain.cut_mb,
            chain.source};
}

ChainCosts priced(Chain const &chain, Prices const &prices)
{
    std::optional<ChainCosts> sum;
    auto const add = [&](double price, ChainCosts (*measure)(Chain const &))
    {
        // Nothing of a measure without a price: no link is infinite, and zero
        // times that is no number.
        if (price > 0.0)
            sum = sum ? sum->plus(measure(chain), price) : measure(chain).times(price);
    };
    add(prices.per_ms, latency_of);
    add(prices.per_j, energy_of);
    add(prices.per_g, emissions_of);
    return std::move(*sum);
}
} // namespace carbonedge
