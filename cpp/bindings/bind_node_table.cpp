#include "common.hpp"

#include "carbonedge/node_table.hpp"

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <tuple>
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

Task to_task(double cpu_cores, double memory_mb, std::optional<double> slo_ms)
{
    return {
        cpu_cores, memory_mb, slo_ms.value_or(std::numeric_limits<double>::infinity())};
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

// A decision as Python's, which is a tuple: made as one, since to make a tuple and then
// a decision of it takes longer than to decide.
py::object to_decision(Placement const &placed, py::object name, py::handle decision)
{
    auto const &parts = placed.components;
    std::array const numbers{placed.score,
                             parts.resource,
                             parts.load,
                             parts.performance,
                             parts.balance,
                             parts.carbon,
                             placed.latency_ms,
                             placed.energy_j,
                             placed.emissions_g};
    auto *type = reinterpret_cast<PyTypeObject *>(decision.ptr());
    auto const made =
        py::reinterpret_steal<py::object>(type->tp_alloc(type, numbers.size() + 3));
    if (!made)
        throw py::error_already_set();
    py::ssize_t next = 0;
    auto const put = [&](PyObject *item)
    {
        if (item == nullptr)
            throw py::error_already_set();
        PyTuple_SET_ITEM(made.ptr(), next++, item);
    };
    put(name.release().ptr());
    put(PyLong_FromSize_t(placed.index));
    for (auto const number : numbers)
        put(PyFloat_FromDouble(number));
    put(PyLong_FromUnsignedLongLong(placed.ticket));
    return made;
}

py::object choose_once(py::sequence const &nodes,
                       Values const &weights,
                       int scoring,
                       double max_load,
                       double max_network_latency_ms,
                       double cpu_cores,
                       double memory_mb,
                       std::optional<double> slo_ms,
                       py::type const &decision)
{
    NodeTable const table(
        to_nodes(nodes),
        to_policy(weights, scoring, max_load, max_network_latency_ms, 1.0));
    auto const placed = table.scan(to_task(cpu_cores, memory_mb, slo_ms));
    if (!placed)
        return py::none();
    return to_decision(*placed, nodes[placed->index].attr("name"), decision);
}

// The core's table with the names that decisions carry: None where indices do.
class NamedTable
{
public:
    template <typename Nodes>
    NamedTable(Nodes const &nodes,
               py::object names,
               Policy const &policy,
               py::type decision)
        : table_(nodes, policy), names_(std::move(names)),
          decision_(std::move(decision))
    {
    }

    [[nodiscard]] std::size_t size() const { return table_.size(); }

    py::object select(double cpu_cores, double memory_mb, std::optional<double> slo_ms)
    {
        return named(table_.select(to_task(cpu_cores, memory_mb, slo_ms)));
    }

    [[nodiscard]] py::object
    scan(double cpu_cores, double memory_mb, std::optional<double> slo_ms) const
    {
        return named(table_.scan(to_task(cpu_cores, memory_mb, slo_ms)));
    }

    py::object place(double cpu_cores, double memory_mb, std::optional<double> slo_ms)
    {
        return named(table_.place(to_task(cpu_cores, memory_mb, slo_ms)));
    }

    py::tuple
    place_many(Doubles const &cpu_cores, Doubles const &memory_mb, bool with_tickets)
    {
        auto const cpu = view(cpu_cores);
        auto const memory = view(memory_mb);
        if (cpu.size() != memory.size())
            throw py::value_error("cpu_cores and memory_mb differ in length");
        py::array_t<std::int64_t> indices(cpu_cores.size());
        py::array_t<Ticket> tickets(with_tickets ? cpu_cores.size() : 0);
        std::span<std::int64_t> const chosen(indices.mutable_data(), cpu.size());
        std::span<Ticket> const taken(tickets.mutable_data(),
                                      static_cast<std::size_t>(tickets.size()));
        {
            py::gil_scoped_release const released;
            table_.place_many(cpu, memory, chosen, taken);
        }
        return py::make_tuple(indices, tickets);
    }

    Ticket reserve(std::size_t index, double cpu_cores, double memory_mb)
    {
        return table_.reserve(index, {cpu_cores, memory_mb});
    }

    void complete(Ticket ticket, std::optional<double> elapsed_ms)
    {
        table_.complete(ticket, elapsed_ms);
    }

    void set(std::size_t index, std::size_t field, double value)
    {
        if (field >= kNumFields)
            throw py::index_error("there is no field " + std::to_string(field));
        table_.set(index, static_cast<Field>(field), value);
    }

    void set_all(std::vector<std::size_t> const &fields,
                 std::vector<Doubles> const &arrays)
    {
        std::vector<Column> columns;
        for (std::size_t i = 0; i < fields.size(); ++i)
        {
            if (fields[i] >= kNumFields)
                throw py::index_error("there is no field " + std::to_string(fields[i]));
            columns.push_back({static_cast<Field>(fields[i]), view(arrays.at(i))});
        }
        py::gil_scoped_release const released;
        table_.set_all(columns);
    }

    std::size_t add(py::handle node)
    {
        auto const taken = to_node(node);
        py::object const name = node.attr("name");
        // The name first, so that no decision finds its node without; and none between.
        std::scoped_lock const lock(adding_);
        if (!names_.is_none())
            names_.attr("append")(name);
        return table_.add(taken);
    }

    void remove(std::size_t index) { table_.remove(index); }

    [[nodiscard]] std::vector<double> state(std::size_t index) const
    {
        auto const node = table_.node(checked(index));
        return {node.values.begin(), node.values.end()};
    }

    [[nodiscard]] std::pair<double, double> free(std::size_t index) const
    {
        return {table_.free_cpu_cores(checked(index)), table_.free_memory_mb(index)};
    }

    [[nodiscard]] int refusal(std::size_t index,
                              double cpu_cores,
                              double memory_mb,
                              std::optional<double> slo_ms) const
    {
        auto const task = to_task(cpu_cores, memory_mb, slo_ms);
        return static_cast<int>(table_.refusal(checked(index), task));
    }

    [[nodiscard]] py::tuple
    explain(double cpu_cores, double memory_mb, std::optional<double> slo_ms) const
    {
        auto const nodes = table_.explain(to_task(cpu_cores, memory_mb, slo_ms));
        auto const size = static_cast<py::ssize_t>(nodes.size());
        py::array_t<std::int64_t> refusals(size);
        py::array_t<double> numbers({size, py::ssize_t{9}});
        auto refusal = refusals.mutable_unchecked<1>();
        auto row = numbers.mutable_unchecked<2>();
        for (py::ssize_t i = 0; i < size; ++i)
        {
            auto const &own = nodes[static_cast<std::size_t>(i)];
            auto const &parts = own.components;
            refusal(i) = static_cast<std::int64_t>(own.refusal);
            std::array const values{own.score,
                                    parts.resource,
                                    parts.load,
                                    parts.performance,
                                    parts.balance,
                                    parts.carbon,
                                    own.latency_ms,
                                    own.energy_j,
                                    own.emissions_g};
            for (std::size_t k = 0; k < values.size(); ++k)
                row(i, static_cast<py::ssize_t>(k)) = values[k];
        }
        return py::make_tuple(refusals, numbers);
    }

    // Ticket, index or -1, CPU and memory in quanta.
    using Held = std::tuple<Ticket, std::int64_t, double, double>;

    [[nodiscard]] py::tuple snapshot() const
    {
        auto const [nodes, reservations] = table_.snapshot();
        py::array_t<double> columns({kNumFields, nodes.size()});
        auto rows = columns.mutable_unchecked<2>();
        for (std::size_t index = 0; index < nodes.size(); ++index)
            for (std::size_t field = 0; field < kNumFields; ++field)
                rows(static_cast<py::ssize_t>(field), static_cast<py::ssize_t>(index)) =
                    nodes[index].values[field];
        std::vector<Held> held;
        for (auto const &[ticket, index, demand] : reservations)
            held.emplace_back(ticket,
                              index == kNoNode ? -1 : static_cast<std::int64_t>(index),
                              demand.cpu,
                              demand.memory);
        return py::make_tuple(columns, held);
    }

    void restore(std::vector<Held> const &held)
    {
        std::vector<Reservation> reservations;
        for (auto const &[ticket, index, cpu, memory] : held)
            reservations.push_back(
                {ticket,
                 index < 0 ? kNoNode : checked(static_cast<std::size_t>(index)),
                 {cpu, memory}});
        table_.restore(reservations);
    }

private:
    [[nodiscard]] std::size_t checked(std::size_t index) const
    {
        if (index >= table_.size())
            throw py::index_error("there is no node " + std::to_string(index));
        return index;
    }

    [[nodiscard]] py::object named(std::optional<Placement> const &placed) const
    {
        if (!placed)
            return py::none();
        auto const name = names_.is_none()
                              ? py::object(py::str(std::to_string(placed->index)))
                              : py::object(names_[py::int_(placed->index)]);
        return to_decision(*placed, name, decision_);
    }

    NodeTable table_;
    py::object names_;
    py::type decision_;
    std::mutex adding_;
};

std::unique_ptr<NamedTable> from_columns(std::vector<Doubles> const &arrays,
                                         py::object names,
                                         Values const &weights,
                                         int scoring,
                                         double max_load,
                                         double max_network_latency_ms,
                                         double smoothing,
                                         py::type decision)
{
    Columns columns;
    for (std::size_t field = 0; field < kNumFields; ++field)
        columns[field] = view(arrays.at(field));
    for (auto const &column : columns)
        if (column.size() != columns.front().size())
            throw py::value_error("columns differ in length");
    auto const policy =
        to_policy(weights, scoring, max_load, max_network_latency_ms, smoothing);
    return std::make_unique<NamedTable>(
        columns, std::move(names), policy, std::move(decision));
}
} // namespace

void bind_node_table(py::module_ &module)
{
    auto const plain_tuple = py::type::of(py::tuple());
    module.def("choose_once",
               &choose_once,
               "nodes"_a,
               "weights"_a,
               "scoring"_a,
               "max_load"_a,
               "max_network_latency_ms"_a,
               "cpu_cores"_a,
               "memory_mb"_a,
               "slo_ms"_a,
               "decision"_a = plain_tuple);
    py::class_<NamedTable>(module, "NodeTable")
        .def(py::init(
                 [](py::sequence const &nodes,
                    py::object names,
                    Values const &weights,
                    int scoring,
                    double max_load,
                    double max_network_latency_ms,
                    double smoothing,
                    py::type decision)
                 {
                     auto const policy = to_policy(
                         weights, scoring, max_load, max_network_latency_ms, smoothing);
                     return std::make_unique<NamedTable>(to_nodes(nodes),
                                                         std::move(names),
                                                         policy,
                                                         std::move(decision));
                 }),
             "nodes"_a,
             "names"_a,
             "weights"_a,
             "scoring"_a,
             "max_load"_a,
             "max_network_latency_ms"_a,
             "smoothing"_a,
             "decision"_a = plain_tuple)
        .def_static("from_columns",
                    &from_columns,
                    "columns"_a,
                    "names"_a,
                    "weights"_a,
                    "scoring"_a,
                    "max_load"_a,
                    "max_network_latency_ms"_a,
                    "smoothing"_a,
                    "decision"_a = plain_tuple)
        .def("__len__", &NamedTable::size)
        .def("select", &NamedTable::select, "cpu_cores"_a, "memory_mb"_a, "slo_ms"_a)
        .def("scan", &NamedTable::scan, "cpu_cores"_a, "memory_mb"_a, "slo_ms"_a)
        .def("place", &NamedTable::place, "cpu_cores"_a, "memory_mb"_a, "slo_ms"_a)
        .def("place_many",
             &NamedTable::place_many,
             "cpu_cores"_a,
             "memory_mb"_a,
             "with_tickets"_a)
        .def("reserve", &NamedTable::reserve, "index"_a, "cpu_cores"_a, "memory_mb"_a)
        .def("complete", &NamedTable::complete, "ticket"_a, "elapsed_ms"_a)
        .def("set", &NamedTable::set, "index"_a, "field"_a, "value"_a)
        .def("set_all", &NamedTable::set_all, "fields"_a, "columns"_a)
        .def("add", &NamedTable::add, "node"_a)
        .def("remove", &NamedTable::remove, "index"_a)
        .def("state", &NamedTable::state, "index"_a)
        .def("free", &NamedTable::free, "index"_a)
        .def("refusal",
             &NamedTable::refusal,
             "index"_a,
             "cpu_cores"_a,
             "memory_mb"_a,
             "slo_ms"_a)
        .def("explain", &NamedTable::explain, "cpu_cores"_a, "memory_mb"_a, "slo_ms"_a)
        .def("snapshot", &NamedTable::snapshot)
        .def("restore", &NamedTable::restore, "reservations"_a);
}
} // namespace carbonedge::bindings
