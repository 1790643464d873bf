#include "common.hpp"

namespace py = pybind11;

// The core locks what it shares.
PYBIND11_MODULE(_core, module, py::mod_gil_not_used())
{
    module.attr("__version__") = CARBONEDGE_VERSION;
    module.attr("BUILD_TYPE") = CARBONEDGE_BUILD_TYPE;
    carbonedge::bindings::bind_counters(module);
    carbonedge::bindings::bind_node_table(module);
    carbonedge::bindings::bind_partition(module);
}
