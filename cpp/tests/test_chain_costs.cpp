#include "carbonedge/chain_costs.hpp"

#include <doctest/doctest.h>

#include <vector>

using carbonedge::ChainCosts;

namespace
{
// Two operators, two kinds of node.
ChainCosts example(std::size_t source = 2)
{
    std::vector<double> const operators{1, 10, 2, 20};
    std::vector<double> const overhead{0.5, 5};
    std::vector<double> const fixed{0, 3, 4, 0};
    std::vector<double> const per_mb{0, 2, 1, 0};
    std::vector<double> const cut_mb{7, 8, 9};
    return {operators, overhead, fixed, per_mb, cut_mb, source};
}
} // namespace

TEST_CASE("a stage costs its operators and its overhead")
{
    auto const costs = example();
    CHECK(costs.stage(0, 2, 0) == 3.5);
    CHECK(costs.stage(1, 2, 1) == 25);
    CHECK(costs.stage(1, 1, 0) == 0.5);
}

TEST_CASE("the rest of the chain costs its operators")
{
    auto const costs = example();
    CHECK(costs.rest(0, 0) == 3);
    CHECK(costs.rest(1, 1) == 20);
    CHECK(costs.rest(2, 1) == 0);
}

TEST_CASE("what stands before a stage leaves no trace in its cost")
{
    std::vector<double> const operators{1e15, 0.1, 0.2};
    std::vector<double> const none{0};
    std::vector<double> const cut_mb{0, 0, 0, 0};
    ChainCosts const costs(operators, none, none, none, cut_mb, 1);
    CHECK(costs.stage(1, 3, 0) == 0.1 + 0.2);
    CHECK(costs.rest(1, 0) == 0.2 + 0.1);
}

TEST_CASE("a transfer costs its link and what crosses, by direction")
{
    auto const costs = example();
    CHECK(costs.transfer(1, 0, 1) == 3 + 2 * 8);
    CHECK(costs.transfer(1, 1, 0) == 4 + 1 * 8);
}

TEST_CASE("measures add up")
{
    auto const costs = example();
    auto const sum = costs.plus(costs, 2.0);
    CHECK(sum.stage(0, 2, 1) == 3 * costs.stage(0, 2, 1));
    CHECK(sum.transfer(1, 0, 1) == 3 * costs.transfer(1, 0, 1));
}

TEST_CASE("a measure at a price is that many times as much")
{
    auto const costs = example();
    auto const priced = costs.times(3.0);
    CHECK(priced.stage(0, 2, 1) == 3 * costs.stage(0, 2, 1));
    CHECK(priced.transfer(1, 0, 1) == 3 * costs.transfer(1, 0, 1));
}

TEST_CASE("inputs come from the source and outputs return there")
{
    auto const costs = example(1);
    CHECK(costs.enter(0) == costs.transfer(0, 1, 0));
    CHECK(costs.leave(0) == costs.transfer(2, 0, 1));
    CHECK(costs.enter(1) == 0);
    CHECK(costs.leave(1) == 0);
    CHECK(example().enter(0) == 0);
}
