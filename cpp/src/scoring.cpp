#include "carbonedge/scoring.hpp"

#include "carbonedge/units.hpp"

namespace carbonedge
{
double weighted_sum(Weights const &weights, Components const &components)
{
    return weights.resource * components.resource + weights.load * components.load
           + weights.performance * components.performance
           + weights.balance * components.balance + weights.carbon * components.carbon;
}

Components paper_components(Node const &node)
{
    auto const watt_hours =
        node[Field::power_w] * node[Field::avg_time_ms] / kMsPerHour;
    return {
        1.0,
        1.0 - node[Field::load],
        1.0 / (1.0 + node[Field::avg_time_ms] / kMsPerSecond),
        1.0 / (1.0 + 2.0 * node[Field::running_tasks]),
        1.0 / (1.0 + node[Field::intensity_g_per_kwh] * watt_hours),
    };
}
} // namespace carbonedge
