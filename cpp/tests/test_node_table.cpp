#include "carbonedge/node_table.hpp"

#include "random_nodes.hpp"

#include <doctest/doctest.h>

#include <random>
#include <stdexcept>
#include <vector>

using namespace carbonedge;

namespace
{
Policy const kGreen{{0.15, 0.15, 0.10, 0.10, 0.50}};
Task const kTask{0.1, 8.0};
} // namespace

TEST_CASE("the paper's nodes under the paper's scoring")
{
    std::vector<Node> const nodes{
        {{1.0, 1024, 3.55, 620, 1, 0, 0, 254.85, 0, 1, 0}},
        {{0.6, 512, 2.13, 530, 1, 0, 0, 424.75, 0, 1, 0}},
        {{0.4, 512, 1.42, 380, 1, 0, 0, 585.0, 0, 1, 0}},
    };
    auto const chosen = [&](Weights const &weights)
    { return NodeTable(nodes, {weights, Scoring::paper}).select(kTask)->index; };
    CHECK(chosen({0.25, 0.25, 0.30, 0.15, 0.05}) == 0);
    CHECK(chosen({0.20, 0.20, 0.15, 0.15, 0.30}) == 0);
    CHECK(chosen({0.15, 0.15, 0.10, 0.10, 0.50}) == 2);
}

TEST_CASE("reserving and completing in any order leaves nothing behind")
{
    std::mt19937 random(1);
    auto const nodes = testing::random_nodes(random, 40);
    NodeTable table(nodes, kGreen);
    NodeTable const fresh(nodes, kGreen);
    std::vector<Ticket> tickets;
    for (auto step = 0; step < 20'000; ++step)
    {
        auto const placed = random() % 2 ? table.select(kTask) : std::nullopt;
        if (placed)
            tickets.push_back(table.reserve(kTask, placed->index));
        else if (!tickets.empty())
        {
            std::swap(tickets[random() % tickets.size()], tickets.back());
            table.complete(tickets.back(), 10.0);
            tickets.pop_back();
        }
    }
    for (auto const ticket : tickets)
        table.complete(ticket, 10.0);
    for (std::size_t i = 0; i < table.size(); ++i)
    {
        CHECK(table.free_cpu_cores(i) == fresh.free_cpu_cores(i));
        CHECK(table.free_memory_mb(i) == fresh.free_memory_mb(i));
        CHECK(table.node(i)[Field::running_tasks] == nodes[i][Field::running_tasks]);
    }
}

TEST_CASE("a ticket is good for one completion")
{
    NodeTable table({{{1, 100, 1, 1, 1, 0, 0, 1, 0, 1, 0}}}, kGreen);
    auto const ticket = table.reserve(kTask, 0);
    table.complete(ticket, 5.0);
    CHECK_THROWS_AS(table.complete(ticket, 5.0), std::invalid_argument);
    CHECK_THROWS_AS(table.complete(~Ticket{0}, 5.0), std::invalid_argument);
    CHECK(table.reserve(kTask, 0) != ticket);
    CHECK_THROWS_AS(table.complete(ticket, 5.0), std::invalid_argument);
}

TEST_CASE("a ticket is good for its own table")
{
    std::vector<Node> const nodes{{{1, 100, 1, 1, 1, 0, 0, 1, 0, 1, 0}}};
    NodeTable ours(nodes, kGreen);
    NodeTable theirs(nodes, kGreen);
    auto const ticket = ours.reserve(kTask, 0);
    theirs.reserve(kTask, 0);
    CHECK_THROWS_AS(theirs.complete(ticket, 5.0), std::invalid_argument);
    ours.complete(ticket, 5.0);
}

TEST_CASE("many at once are as many one by one")
{
    std::mt19937 random(2);
    auto const nodes = testing::random_nodes(random, 20);
    NodeTable at_once(nodes, kGreen);
    NodeTable one_by_one(nodes, kGreen);
    std::vector<double> const cpu(300, 0.3);
    std::vector<double> const memory(300, 20.0);
    std::vector<std::int64_t> chosen(300);
    at_once.reserve_many(cpu, memory, chosen);
    for (auto const index : chosen)
    {
        auto const placed = one_by_one.select({0.3, 20.0});
        CHECK(index == (placed ? static_cast<std::int64_t>(placed->index) : -1));
        if (placed)
            one_by_one.reserve({0.3, 20.0}, placed->index);
    }
    CHECK(chosen.back() == -1);
}
