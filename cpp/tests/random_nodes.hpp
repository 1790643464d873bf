#pragma once

#include "carbonedge/node.hpp"

#include <cstddef>
#include <random>
#include <vector>

namespace carbonedge::testing
{
/// Nodes of few distinct values, so that ties are common.
inline std::vector<Node> random_nodes(std::mt19937 &random, std::size_t count)
{
    auto const pick = [&](std::vector<double> const &values)
    {
        std::uniform_int_distribution<std::size_t> index(0, values.size() - 1);
        return values[index(random)];
    };
    std::vector<Node> nodes;
    for (std::size_t i = 0; i < count; ++i)
        nodes.push_back({{pick({0.5, 1.0, 4.0}),
                          pick({64.0, 128.0, 512.0}),
                          pick({1.0, 5.0}),
                          pick({0.0, 100.0, 620.0}),
                          pick({1.0, 1.5}),
                          pick({0.0, 0.5, 0.8, 0.9}),
                          pick({0.0, 5.0, 50.0}),
                          pick({0.0, 10.0, 250.0}),
                          pick({0.0, 1.0, 2.0}),
                          pick({1.0, 2.0}),
                          pick({0.0, 3.0})}});
    return nodes;
}
} // namespace carbonedge::testing
