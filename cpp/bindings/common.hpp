#pragma once

// The only place that includes pybind11, so that every unit sees one set of
// casters.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <span>

namespace carbonedge::bindings
{
namespace py = pybind11;
using namespace pybind11::literals;

using Doubles = py::array_t<double, py::array::c_style | py::array::forcecast>;

using Integers = py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>;

inline std::span<double const> view(Doubles const &array)
{
    return {array.data(), static_cast<std::size_t>(array.size())};
}

void bind_counters(py::module_ &module);
void bind_node_table(py::module_ &module);
void bind_partition(py::module_ &module);
} // namespace carbonedge::bindings
