#include "carbonedge/node.hpp"

#include "carbonedge/units.hpp"

namespace carbonedge
{
double predicted_latency_ms(Node const &node)
{
    auto const queue = node[Field::running_tasks] / node[Field::parallelism];
    return node[Field::network_latency_ms] + node[Field::avg_time_ms] * (1.0 + queue);
}

double predicted_energy_j(Node const &node)
{
    return node[Field::power_w] * node[Field::avg_time_ms] / kMsPerSecond;
}

double predicted_emissions_g(Node const &node)
{
    auto const operational = predicted_energy_j(node) * node[Field::intensity_g_per_kwh]
                             * node[Field::pue] / kJoulesPerKwh;
    auto const embodied =
        node[Field::embodied_g_per_hour] * node[Field::avg_time_ms] / kMsPerHour;
    return operational + embodied;
}
} // namespace carbonedge
