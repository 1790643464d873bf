#include "carbonedge/outlook.hpp"

namespace carbonedge
{
namespace
{
// A gain stays so small that no sum of gains times numbers of nodes overflows.
constexpr auto kSmallestSpread = 1e-200;

double gain(Range const &range, double weight)
{
    auto const spread = range.high - range.low;
    return weight * (spread >= kSmallestSpread ? 1.0 / spread : 0.0);
}
} // namespace

Weights gains_of(Spread const &spread, Weights const &weights)
{
    return {gain(spread[Trait::share], weights.resource),
            gain(spread[Trait::headroom], weights.load),
            gain(spread[Trait::latency_ms], weights.performance),
            gain(spread[Trait::balance], weights.balance),
            gain(spread[Trait::emissions_g], weights.carbon)};
}
} // namespace carbonedge
