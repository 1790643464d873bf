#include "common.hpp"

#include "carbonedge/partition.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace carbonedge::bindings
{
namespace
{
py::array_t<std::int64_t> to_array(std::vector<std::int64_t> const &values)
{
    return py::array_t<std::int64_t>(static_cast<py::ssize_t>(values.size()),
                                     values.data());
}

py::object solve_partition(Doubles const &time_ms,
                           Doubles const &energy_j,
                           Doubles const &memory_mb,
                           Doubles const &cut_mb,
                           Doubles const &node_memory_mb,
                           Doubles const &grams_per_j,
                           Doubles const &grams_per_ms,
                           Doubles const &link_latency_ms,
                           Doubles const &link_mbps,
                           Doubles const &link_j_per_mb,
                           Doubles const &link_grams_per_j,
                           Doubles const &stage_overhead_ms,
                           Doubles const &stage_overhead_j,
                           int objective,
                           double slo_ms,
                           std::size_t max_stages,
                           std::size_t max_labels)
{
    Chain const chain{view(time_ms),
                      view(energy_j),
                      view(memory_mb),
                      view(cut_mb),
                      view(node_memory_mb),
                      view(grams_per_j),
                      view(grams_per_ms),
                      view(link_latency_ms),
                      view(link_mbps),
                      view(link_j_per_mb),
                      view(link_grams_per_j),
                      view(stage_overhead_ms),
                      view(stage_overhead_j)};
    Limits const limits{slo_ms, max_stages, max_labels};
    auto exhausted = false;
    auto const plan = [&]
    {
        py::gil_scoped_release const released;
        return best_partition(
            chain, static_cast<Objective>(objective), limits, exhausted);
    }();
    if (!plan)
        return py::make_tuple(
            exhausted, to_array({}), to_array({}), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    return py::make_tuple(exhausted,
                          to_array(plan->stops),
                          to_array(plan->nodes),
                          plan->latency_ms,
                          plan->energy_j,
                          plan->emissions_g,
                          plan->bottleneck_ms,
                          plan->value,
                          plan->bound);
}
} // namespace

void bind_partition(py::module_ &module)
{
    module.def("solve_partition",
               &solve_partition,
               "time_ms"_a,
               "energy_j"_a,
               "memory_mb"_a,
               "cut_mb"_a,
               "node_memory_mb"_a,
               "grams_per_j"_a,
               "grams_per_ms"_a,
               "link_latency_ms"_a,
               "link_mbps"_a,
               "link_j_per_mb"_a,
               "link_grams_per_j"_a,
               "stage_overhead_ms"_a,
               "stage_overhead_j"_a,
               "objective"_a,
               "slo_ms"_a,
               "max_stages"_a,
               "max_labels"_a);
}
} // namespace carbonedge::bindings
