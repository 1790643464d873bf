#include "common.hpp"

#include "carbonedge/node_table.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace carbonedge::bindings
{
namespace
{
constexpr std::array<char const *, kNumFields> kFieldNames{"cpu_cores",
                                                           "memory_mb",
                                                           "power_w",
                                                           "intensity_g_per_kwh",
                                                           "pue",
                                                           "load",
                                                           "network_latency_ms",
                                                           "avg_time_ms",
                                                           "running_tasks",
                                                           "parallelism",
                                                           "embodied_g_per_hour"};

// Attribute look-ups by interned strings cost a third of those by C strings.
std::array<PyObject *, kNumFields> const &interned_names()
{
    static auto const names = []
    {
        std::array<PyObject *, kNumFields> result{};
        for (std::size_t i = 0; i < kNumFields; ++i)
            result[i] = PyUnicode_InternFromString(kFieldNames[i]);
        return result;
    }();
    return names;
}

Node to_node(py::handle object)
{
    auto const &names = interned_names();
    Node node{};
    for (std::size_t i = 0; i < kNumFields; ++i)
    {
        auto const value =
            py::reinterpret_steal<py::object>(PyObject_GetAttr(object.ptr(), names[i]));
        if (!value)
            throw py::error_already_set();
        node.values[i] = PyFloat_AsDouble(value.ptr());
        if (node.values[i] == -1.0 && PyErr_Occurred())
            throw py::error_already_set();
    }
    return node;
}

std::vector<Node> to_nodes(py::sequence const &objects)
{
    std::vector<Node> nodes;
    nodes.reserve(objects.size());
    for (auto const object : objects)
        nodes.push_back(to_node(object));
    return nodes;
}

Field to_field(std::string_view name)
{
    for (std::size_t i = 0; i < kNumFields; ++i)
        if (name == kFieldNames[i])
            return static_cast<Field>(i);
    throw py::key_error(std::string(name));
}

Task to_task(double cpu_cores, double memory_mb, std::optional<double> slo_ms)
{
    return {
        cpu_cores, memory_mb, slo_ms.value_or(std::numeric_limits<double>::infinity())};
}

py::tuple to_tuple(Placement const &placed, py::handle name, Ticket ticket)
{
    auto const &parts = placed.components;
    return py::make_tuple(name,
                          placed.index,
                          placed.score,
                          parts.resource,
                          parts.load,
                          parts.performance,
                          parts.balance,
                          parts.carbon,
                          placed.latency_ms,
                          placed.energy_j,
                          placed.emissions_g,
                          ticket);
}

using Values = std::array<double, 5>;

Policy to_policy(Values const &weights,
                 int scoring,
                 double max_load,
                 double max_network_latency_ms,
                 double smoothing)
{
    return {{weights[0], weights[1], weights[2], weights[3], weights[4]},
            static_cast<Scoring>(scoring),
            max_load,
            max_network_latency_ms,
            smoothing};
}

// The core's table with the names that decisions carry.
struct NamedTable
{
    NodeTable table;
    py::list names;

    py::object select(double cpu_cores, double memory_mb, std::optional<double> slo_ms)
    {
        auto const placed = table.select(to_task(cpu_cores, memory_mb, slo_ms));
        if (!placed)
            return py::none();
        return to_tuple(*placed, names[placed->index], 0);
    }

    py::object reserve(double cpu_cores, double memory_mb, std::optional<double> slo_ms)
    {
        auto const task = to_task(cpu_cores, memory_mb, slo_ms);
        auto const placed = table.select(task);
        if (!placed)
            return py::none();
        auto const ticket = table.reserve(task, placed->index);
        return to_tuple(*placed, names[placed->index], ticket);
    }

    py::array_t<std::int64_t> reserve_many(Doubles const &cpu_cores,
                                           Doubles const &memory_mb)
    {
        auto const cpu = view(cpu_cores);
        auto const memory = view(memory_mb);
        py::array_t<std::int64_t> indices(cpu_cores.size());
        auto *out = indices.mutable_data();
        py::gil_scoped_release const released;
        table.reserve_many(cpu, memory, {out, cpu.size()});
        return indices;
    }
};
} // namespace

void bind_node_table(py::module_ &module)
{
    py::class_<NamedTable>(module, "NodeTable")
        .def(py::init(
                 [](py::sequence const &nodes,
                    py::list names,
                    Values const &weights,
                    int scoring,
                    double max_load,
                    double max_network_latency_ms,
                    double smoothing)
                 {
                     auto const policy = to_policy(
                         weights, scoring, max_load, max_network_latency_ms, smoothing);
                     return NamedTable{NodeTable(to_nodes(nodes), policy),
                                       std::move(names)};
                 }),
             "nodes"_a,
             "names"_a,
             "weights"_a,
             "scoring"_a,
             "max_load"_a,
             "max_network_latency_ms"_a,
             "smoothing"_a)
        .def("select", &NamedTable::select, "cpu_cores"_a, "memory_mb"_a, "slo_ms"_a)
        .def("reserve", &NamedTable::reserve, "cpu_cores"_a, "memory_mb"_a, "slo_ms"_a)
        .def("reserve_many", &NamedTable::reserve_many, "cpu_cores"_a, "memory_mb"_a)
        .def(
            "complete",
            [](NamedTable &self, Ticket ticket, double elapsed_ms)
            { self.table.complete(ticket, elapsed_ms); },
            "ticket"_a,
            "elapsed_ms"_a)
        .def(
            "set",
            [](NamedTable &self,
               std::size_t index,
               std::string_view field,
               double value) { self.table.set(index, to_field(field), value); },
            "index"_a,
            "field"_a,
            "value"_a)
        .def(
            "get",
            [](NamedTable const &self, std::size_t index, std::string_view field)
            { return self.table.node(index)[to_field(field)]; },
            "index"_a,
            "field"_a)
        .def(
            "free",
            [](NamedTable const &self, std::size_t index)
            {
                return std::pair{self.table.free_cpu_cores(index),
                                 self.table.free_memory_mb(index)};
            },
            "index"_a)
        .def(
            "refusals",
            [](NamedTable const &self,
               double cpu_cores,
               double memory_mb,
               std::optional<double> slo_ms)
            {
                std::vector<int> reasons;
                for (auto const refusal :
                     self.table.refusals(to_task(cpu_cores, memory_mb, slo_ms)))
                    reasons.push_back(static_cast<int>(refusal));
                return reasons;
            },
            "cpu_cores"_a,
            "memory_mb"_a,
            "slo_ms"_a);
}
} // namespace carbonedge::bindings
