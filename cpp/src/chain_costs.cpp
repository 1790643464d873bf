#include "carbonedge/chain_costs.hpp"

#include <algorithm>
#include <cassert>

namespace carbonedge
{
namespace
{
std::vector<double> copy(std::span<double const> values)
{
    return {values.begin(), values.end()};
}

void scale(std::vector<double> &values, double factor)
{
    for (auto &value : values)
        value *= factor;
}

void add(std::vector<double> &sum, std::vector<double> const &other, double factor)
{
    std::transform(sum.begin(),
                   sum.end(),
                   other.begin(),
                   sum.begin(),
                   [factor](double a, double b) { return a + factor * b; });
}
} // namespace

ChainCosts::ChainCosts(std::span<double const> operator_cost,
                       std::span<double const> stage_overhead,
                       std::span<double const> link_fixed,
                       std::span<double const> link_per_mb,
                       std::span<double const> cut_mb,
                       std::size_t source)
    : step_(operator_cost.size()), rest_(stage_overhead.size() * cut_mb.size()),
      stage_overhead_(copy(stage_overhead)), link_fixed_(copy(link_fixed)),
      link_per_mb_(copy(link_per_mb)), cut_mb_(copy(cut_mb)), source_(source)
{
    assert(operator_cost.size() == num_operators() * num_kinds());
    for (std::size_t node = 0; node < num_kinds(); ++node)
    {
        auto *steps = step_.data() + node * num_operators();
        auto *rests = rest_.data() + node * cut_mb_.size();
        auto sum = 0.0;
        for (auto cut = num_operators(); cut-- > 0;)
        {
            steps[cut] = operator_cost[cut * num_kinds() + node];
            sum += steps[cut];
            rests[cut] = sum;
        }
    }
}

ChainCosts ChainCosts::plus(ChainCosts const &other, double factor) const
{
    auto sum = *this;
    add(sum.step_, other.step_, factor);
    add(sum.rest_, other.rest_, factor);
    add(sum.stage_overhead_, other.stage_overhead_, factor);
    add(sum.link_fixed_, other.link_fixed_, factor);
    add(sum.link_per_mb_, other.link_per_mb_, factor);
    return sum;
}

ChainCosts ChainCosts::times(double factor) const
{
    auto product = *this;
    scale(product.step_, factor);
    scale(product.rest_, factor);
    scale(product.stage_overhead_, factor);
    scale(product.link_fixed_, factor);
    scale(product.link_per_mb_, factor);
    return product;
}
} // namespace carbonedge
