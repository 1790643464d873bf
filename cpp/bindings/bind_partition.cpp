#include "common.hpp"

#include "carbonedge/partition.hpp"

#include <cstdint>
#include <string>
#include <tuple>
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

py::tuple to_tuple(Partition const &plan)
{
    return py::make_tuple(to_array(plan.stops),
                          to_array(plan.kinds),
                          plan.latency_ms,
                          plan.energy_j,
                          plan.emissions_g,
                          plan.bottleneck_ms);
}

py::tuple solve_partition(Doubles const &time_ms,
                          Doubles const &energy_j,
                          Doubles const &memory_mb,
                          Doubles const &cut_mb,
                          Integers const &count,
                          Doubles const &node_memory_mb,
                          Doubles const &grams_per_j,
                          Doubles const &grams_per_ms,
                          Doubles const &link_latency_ms,
                          Doubles const &link_mbps,
                          Doubles const &link_j_per_mb,
                          Doubles const &link_grams_per_j,
                          Doubles const &stage_overhead_ms,
                          Doubles const &stage_overhead_j,
                          std::int64_t source,
                          std::string const &search,
                          std::tuple<double, double, double> const &prices,
                          double slo_ms,
                          std::size_t max_stages,
                          double max_part_ms,
                          double time_limit_s)
{
    Chain const chain{view(time_ms),
                      view(energy_j),
                      view(memory_mb),
                      view(cut_mb),
                      {count.data(), static_cast<std::size_t>(count.size())},
                      view(node_memory_mb),
                      view(grams_per_j),
                      view(grams_per_ms),
                      view(link_latency_ms),
                      view(link_mbps),
                      view(link_j_per_mb),
                      view(link_grams_per_j),
                      view(stage_overhead_ms),
                      view(stage_overhead_j),
                      source < 0 ? kNoSource : static_cast<std::size_t>(source)};
    Prices const per{std::get<0>(prices), std::get<1>(prices), std::get<2>(prices)};
    Limits const limits{slo_ms, max_stages, max_part_ms, time_limit_s};
    auto const found = [&]
    {
        py::gil_scoped_release const released;
        return search == "front"   ? front(chain, per, limits)
               : search == "least" ? least(chain, per, limits)
                                   : most_throughput(chain, limits);
    }();
    py::list plans;
    for (auto const &plan : found.plans)
        plans.append(to_tuple(plan));
    return py::make_tuple(found.proven, found.gap, plans);
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
               "count"_a,
               "node_memory_mb"_a,
               "grams_per_j"_a,
               "grams_per_ms"_a,
               "link_latency_ms"_a,
               "link_mbps"_a,
               "link_j_per_mb"_a,
               "link_grams_per_j"_a,
               "stage_overhead_ms"_a,
               "stage_overhead_j"_a,
               "source"_a,
               "search"_a,
               "prices"_a,
               "slo_ms"_a,
               "max_stages"_a,
               "max_part_ms"_a,
               "time_limit_s"_a);
}
} // namespace carbonedge::bindings
