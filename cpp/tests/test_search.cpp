// A search says what the scan says, to the last bit, whatever became of the table.
#include "carbonedge/node_table.hpp"

#include "random_nodes.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <random>
#include <vector>

using namespace carbonedge;

namespace
{
constexpr std::array<Weights, 3> kWeights{{{0.15, 0.15, 0.10, 0.10, 0.50},
                                           {0.25, 0.25, 0.30, 0.15, 0.05},
                                           {0.0, 1.0, 0.0, 1.0, 0.0}}};

// Nodes without two alike.
std::vector<Node> unlike_nodes(std::mt19937 &random, std::size_t count)
{
    auto const within = [&](double low, double high)
    { return std::uniform_real_distribution<double>(low, high)(random); };
    std::vector<Node> nodes;
    for (std::size_t i = 0; i < count; ++i)
        nodes.push_back({{within(0.5, 64),
                          within(100, 1e5),
                          within(1, 300),
                          within(0, 800),
                          within(1, 2),
                          within(0, 0.9),
                          within(0, 50),
                          within(0, 500),
                          static_cast<double>(random() % 5),
                          static_cast<double>(1 + random() % 4),
                          within(0, 5)}});
    return nodes;
}

// Changes a table at random and asks it about tasks of `kinds` demands.
void live(std::mt19937 &random,
          std::vector<Node> const &nodes,
          Policy const &policy,
          std::size_t kinds,
          std::size_t steps)
{
    NodeTable table(nodes, policy);
    std::vector<Task> tasks;
    for (std::size_t kind = 0; kind < kinds; ++kind)
        tasks.push_back({0.05 * static_cast<double>(1 + random() % 12),
                         8.0 * static_cast<double>(1 + random() % 12),
                         static_cast<double>(50 + random() % 400)});
    std::vector<Ticket> tickets;
    for (std::size_t step = 0; step < steps; ++step)
    {
        auto const &task = tasks[random() % kinds];
        auto const scanned = table.scan(task);
        auto const placed = table.place(task);
        REQUIRE(placed.has_value() == scanned.has_value());
        if (placed)
        {
            REQUIRE(placed->index == scanned->index);
            REQUIRE(placed->score == scanned->score);
            tickets.push_back(placed->ticket);
        }
        if (tickets.size() > nodes.size() / 2 || (!placed && !tickets.empty()))
        {
            std::swap(tickets[random() % tickets.size()], tickets.back());
            table.complete(tickets.back(), static_cast<double>(random() % 500));
            tickets.pop_back();
        }
        auto const index = random() % table.size();
        switch (table.has(index) ? random() % 8 : 6)
        {
        case 0:
        case 1:
        case 2:
            table.set(index, Field::load, 0.01 * static_cast<double>(random() % 90));
            break;
        case 3:
            table.set(
                index, Field::intensity_g_per_kwh, static_cast<double>(random() % 800));
            break;
        case 4:
            table.set(index,
                      Field::network_latency_ms,
                      random() % 8 ? static_cast<double>(random() % 50) : 1e6);
            break;
        case 5:
            if (random() % 4 == 0)
                table.remove(index);
            break;
        case 6:
            if (random() % 4 == 0)
                table.add(nodes[random() % nodes.size()]);
            break;
        default:
            break;
        }
    }
}

void live_many(Scoring scoring, bool unlike)
{
    std::mt19937 random(static_cast<unsigned>(scoring));
    for (auto const count : {1, 16, 17, 130, 256, 257, 700, 4200})
        for (auto const kinds : {1, 2, 12})
            for (auto const &weights : kWeights)
            {
                auto const size = static_cast<std::size_t>(count);
                auto const nodes = unlike ? unlike_nodes(random, size)
                                          : testing::random_nodes(random, size);
                live(random,
                     nodes,
                     {weights, scoring},
                     static_cast<std::size_t>(kinds),
                     count > 1000 ? 60 : 250);
            }
}
} // namespace

TEST_CASE("a search and a scan agree under paper")
{
    live_many(Scoring::paper, false);
    live_many(Scoring::paper, true);
}

TEST_CASE("a search and a scan agree under normalized")
{
    live_many(Scoring::normalized, false);
    live_many(Scoring::normalized, true);
}

TEST_CASE("a search and a scan agree under constrained")
{
    live_many(Scoring::constrained, false);
    live_many(Scoring::constrained, true);
}

TEST_CASE("a search and a scan agree where numbers are huge, tiny and nearly alike")
{
    std::mt19937 random(7);
    for (auto round = 0; round < 20; ++round)
    {
        auto nodes = unlike_nodes(random, 400);
        for (auto &node : nodes)
        {
            node[Field::avg_time_ms] =
                100.0 * (1.0 + 1e-15 * static_cast<double>(random() % 9));
            node[Field::intensity_g_per_kwh] = random() % 2 ? 1e15 : 1e-15;
            node[Field::power_w] = random() % 2 ? 1e15 : 1e-290;
            node[Field::cpu_cores] = random() % 3 ? 1e-6 : 1e15;
        }
        live(random, nodes, {kWeights[0], Scoring::normalized}, 2, 200);
    }
}

TEST_CASE("a full cluster takes a task again when another is done")
{
    std::mt19937 random(11);
    for (auto const scoring :
         {Scoring::paper, Scoring::normalized, Scoring::constrained})
        for (auto const count : {129, 300, 3000})
        {
            std::vector<Node> const nodes(static_cast<std::size_t>(count),
                                          {{1, 1e4, 5, 100, 1, 0, 0, 50, 0, 4, 0}});
            NodeTable table(nodes, {kWeights[0], scoring});
            Task const task{0.5, 100.0};
            std::vector<Ticket> tickets;
            while (auto const placed = table.place(task))
                tickets.push_back(placed->ticket);
            REQUIRE(tickets.size() == 2 * nodes.size());
            for (auto turn = 0; turn < 50; ++turn)
            {
                auto const open = 1 + random() % 3;
                for (std::size_t k = 0; k < open; ++k)
                {
                    std::swap(tickets[random() % tickets.size()], tickets.back());
                    table.complete(tickets.back(), static_cast<double>(random() % 90));
                    tickets.pop_back();
                }
                while (auto const scanned = table.scan(task))
                {
                    auto const placed = table.place(task);
                    REQUIRE(placed);
                    REQUIRE(placed->index == scanned->index);
                    REQUIRE(placed->score == scanned->score);
                    tickets.push_back(placed->ticket);
                }
                REQUIRE(!table.place(task));
            }
        }
}

TEST_CASE("a cluster that was barred whole opens again")
{
    std::mt19937 random(12);
    auto const nodes = unlike_nodes(random, 500);
    NodeTable table(nodes, {kWeights[0], Scoring::normalized});
    Task const task{0.1, 8.0};
    for (auto turn = 0; turn < 5; ++turn)
    {
        REQUIRE(table.select(task));
        for (std::size_t i = 0; i < nodes.size(); ++i)
            table.set(i, Field::load, 1.0);
        REQUIRE(!table.select(task));
        auto const index = random() % nodes.size();
        table.set(index, Field::load, 0.5);
        REQUIRE(table.select(task)->index == index);
        for (std::size_t i = 0; i < nodes.size(); ++i)
            table.set(i, Field::load, nodes[i][Field::load]);
    }
}

TEST_CASE("a node far outside the spread of before keeps no bound too low")
{
    Node const alike{{4, 8000, 100, 400, 1, 0.5, 5, 100, 0, 4, 0}};
    Policy const policy{{0.0, 0.9, 0.1, 0.0, 0.0}, Scoring::normalized};
    Task const task{0.1, 64.0};
    auto const check = [&](NodeTable &table)
    {
        auto const scanned = table.scan(task);
        auto const selected = table.select(task);
        REQUIRE(selected->index == scanned->index);
        REQUIRE(selected->score == scanned->score);
    };
    for (auto exponent = -15; exponent <= -1; ++exponent)
        for (auto far = 10.0; far < 1e13; far *= 7.3)
        {
            // Nodes as good as alike, of which a block then leaves for far away.
            std::vector<Node> nodes(1600, alike);
            nodes[0][Field::network_latency_ms] += 105 * std::pow(10.0, exponent);
            NodeTable leaves(nodes, policy);
            (void)leaves.select(task);
            for (std::size_t i = 1584; i < 1600; ++i)
                leaves.set(i, Field::network_latency_ms, far);
            leaves.set(1590, Field::load, 0.0);
            check(leaves);

            // One that is far away is barred for a while.
            nodes.assign(512, nodes[1]);
            nodes[0][Field::network_latency_ms] += 105 * std::pow(10.0, exponent);
            nodes[511][Field::network_latency_ms] = far;
            for (std::size_t i = 0; i < nodes.size(); ++i)
                nodes[i][Field::load] = 0.3 + 0.001 * static_cast<double>(i * 7 % 13);
            NodeTable returns(nodes, policy);
            (void)returns.select(task);
            returns.set(511, Field::load, 0.95);
            (void)returns.select(task);
            returns.set(100, Field::load, 0.29);
            check(returns);
            returns.set(511, Field::load, 0.5);
            check(returns);
        }
}
