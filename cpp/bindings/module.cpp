#include "common.hpp"

PYBIND11_MODULE(_core, module)
{
    module.attr("__version__") = CARBONEDGE_VERSION;
    module.attr("BUILD_TYPE") = CARBONEDGE_BUILD_TYPE;
    carbonedge::bindings::bind_node_table(module);
    carbonedge::bindings::bind_partition(module);
}
