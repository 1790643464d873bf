// What is chosen, against the definitions.
#include "carbonedge/node_table.hpp"

#include "random_nodes.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <random>
#include <tuple>
#include <vector>

using namespace carbonedge;

namespace
{
constexpr Weights kWeights{0.15, 0.15, 0.10, 0.10, 0.50};

std::vector<std::size_t> takers(NodeTable const &table, Task const &task)
{
    std::vector<std::size_t> passed;
    for (std::size_t i = 0; i < table.size(); ++i)
        if (table.refusal(i, task) == Refusal::none)
            passed.push_back(i);
    return passed;
}

double paper_score(NodeTable const &table, std::size_t index)
{
    return weighted_sum(kWeights, paper_components(table.node(index)));
}

// Scores of those that pass, in long double.
std::vector<long double> scaled_scores(NodeTable const &table,
                                       Task const &task,
                                       std::vector<std::size_t> const &passed)
{
    std::vector<long double> scores(passed.size(), 0.0L);
    auto const add = [&](double weight, auto const &merit)
    {
        std::vector<long double> values;
        for (auto const index : passed)
            values.push_back(merit(index));
        auto const [low, high] = std::minmax_element(values.begin(), values.end());
        if (*high - *low > 1e-12L)
            for (std::size_t k = 0; k < values.size(); ++k)
                scores[k] += weight * (values[k] - *low) / (*high - *low);
    };
    add(kWeights.resource,
        [&](std::size_t i)
        {
            auto const node = table.node(i);
            return (table.free_cpu_cores(i) - task.cpu_cores) / node[Field::cpu_cores]
                       / 2
                   + (table.free_memory_mb(i) - task.memory_mb) / node[Field::memory_mb]
                         / 2;
        });
    add(kWeights.load, [&](std::size_t i) { return -table.node(i)[Field::load]; });
    add(kWeights.performance,
        [&](std::size_t i) { return -predicted_latency_ms(table.node(i)); });
    add(kWeights.balance,
        [&](std::size_t i)
        { return 1.0 / (1.0 + 2.0 * table.node(i)[Field::running_tasks]); });
    add(kWeights.carbon,
        // Of the order of 1, so that one threshold tells a spread from a rounding.
        [&](std::size_t i) { return -1e4 * predicted_emissions_g(table.node(i)); });
    return scores;
}

template <typename Check> void on_random_tables(Scoring scoring, Check const &check)
{
    std::mt19937 random(static_cast<unsigned>(scoring));
    for (auto round = 0; round < 1500; ++round)
    {
        auto const nodes = testing::random_nodes(random, 1 + random() % 120);
        NodeTable table(nodes, {kWeights, scoring});
        for (auto change = 0; change < 5; ++change)
        {
            Task const task{0.1 * static_cast<double>(random() % 10),
                            10.0 * static_cast<double>(random() % 10),
                            static_cast<double>(random() % 400)};
            auto const passed = takers(table, task);
            check(table, task, passed, table.select(task));
            table.place(task);
            table.set(random() % nodes.size(), Field::load, 0.1 * (random() % 10));
        }
    }
}
} // namespace

TEST_CASE("paper: the first of the highest")
{
    on_random_tables(
        Scoring::paper,
        [](NodeTable const &table, Task const &, auto const &passed, auto const &placed)
        {
            REQUIRE(placed.has_value() == !passed.empty());
            for (auto const index : passed)
            {
                auto const score = paper_score(table, index);
                CHECK((score < placed->score
                       || (score == placed->score && index >= placed->index)));
            }
        });
}

TEST_CASE("normalized: the highest of the scaled sums")
{
    on_random_tables(
        Scoring::normalized,
        [](NodeTable const &table,
           Task const &task,
           auto const &passed,
           auto const &placed)
        {
            REQUIRE(placed.has_value() == !passed.empty());
            if (!placed)
                return;
            auto const scores = scaled_scores(table, task, passed);
            auto const best = *std::max_element(scores.begin(), scores.end());
            auto const found = std::find(passed.begin(), passed.end(), placed->index);
            REQUIRE(found != passed.end());
            auto const score = scores[static_cast<std::size_t>(found - passed.begin())];
            CHECK(std::abs(static_cast<double>(best - score)) < 1e-9);
            CHECK(std::abs(static_cast<double>(score) - placed->score) < 1e-9);
        });
}

TEST_CASE("constrained: least emissions, then latency, then index")
{
    on_random_tables(
        Scoring::constrained,
        [](NodeTable const &table, Task const &, auto const &passed, auto const &placed)
        {
            REQUIRE(placed.has_value() == !passed.empty());
            auto const key = [&](std::size_t i)
            {
                auto const node = table.node(i);
                return std::make_tuple(
                    predicted_emissions_g(node), predicted_latency_ms(node), i);
            };
            for (auto const index : passed)
                CHECK(key(placed->index) <= key(index));
        });
}
