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
        auto const placed = random() % 2 ? table.place(kTask) : std::nullopt;
        if (placed)
            tickets.push_back(placed->ticket);
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
    auto const ticket = table.place(kTask)->ticket;
    table.complete(ticket, 5.0);
    CHECK_THROWS_AS(table.complete(ticket, 5.0), std::invalid_argument);
    CHECK_THROWS_AS(table.complete(~Ticket{0}, 5.0), std::invalid_argument);
    CHECK(table.place(kTask)->ticket != ticket);
    CHECK_THROWS_AS(table.complete(ticket, 5.0), std::invalid_argument);
}

TEST_CASE("a ticket is good for its own table")
{
    std::vector<Node> const nodes{{{1, 100, 1, 1, 1, 0, 0, 1, 0, 1, 0}}};
    NodeTable ours(nodes, kGreen);
    NodeTable theirs(nodes, kGreen);
    auto const ticket = ours.place(kTask)->ticket;
    theirs.place(kTask)->ticket;
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
    std::vector<Ticket> tickets(300);
    at_once.place_many(cpu, memory, chosen, tickets);
    for (std::size_t i = 0; i < chosen.size(); ++i)
    {
        auto const placed = one_by_one.place({0.3, 20.0});
        CHECK(chosen[i] == (placed ? static_cast<std::int64_t>(placed->index) : -1));
        CHECK((tickets[i] != 0) == placed.has_value());
    }
    CHECK(chosen.back() == -1);
    for (auto const ticket : tickets)
        if (ticket != 0)
            at_once.complete(ticket, 10.0);
    NodeTable const fresh(nodes, kGreen);
    for (std::size_t i = 0; i < nodes.size(); ++i)
        CHECK(at_once.free_cpu_cores(i) == fresh.free_cpu_cores(i));
}

TEST_CASE("a removed node takes no task and gives none of its tasks' needs back")
{
    std::vector<Node> const nodes(3, {{1, 100, 1, 1, 1, 0, 0, 1, 0, 1, 0}});
    NodeTable table(nodes, kGreen);
    auto const first = table.place(kTask);
    REQUIRE(first->index == 0);
    table.remove(0);
    CHECK(!table.has(0));
    CHECK(table.refusal(0, kTask) == Refusal::removed);
    CHECK(table.place(kTask)->index == 1);
    table.complete(first->ticket, 1.0);
    CHECK_THROWS_AS(table.complete(first->ticket, 1.0), std::invalid_argument);
    CHECK(table.add(nodes[0]) == 3);
    CHECK(table.has(3));
}

TEST_CASE("what is restored goes on as it would have")
{
    std::mt19937 random(3);
    auto const nodes = testing::random_nodes(random, 40);
    NodeTable table(nodes, kGreen);
    std::vector<Ticket> tickets;
    for (auto i = 0; i < 30; ++i)
        if (auto const placed = table.place(kTask))
            tickets.push_back(placed->ticket);
    table.complete(tickets[4], 7.0);
    table.remove(2);

    std::vector<Node> states;
    for (std::size_t i = 0; i < table.size(); ++i)
        states.push_back(table.node(i));
    NodeTable restored(states, kGreen);
    restored.restore(table.snapshot().reservations);
    CHECK_THROWS_AS(restored.complete(tickets[4], 7.0), std::invalid_argument);
    NodeTable wrong(states, kGreen);
    CHECK_THROWS_AS(wrong.restore({{(Ticket{1} << 40) - 1, 0, {1, 1}}}),
                    std::invalid_argument);
    CHECK_THROWS_AS(
        wrong.restore({{Ticket{1} << 32, 0, {1, 1}}, {Ticket{2} << 32, 0, {1, 1}}}),
        std::invalid_argument);
    for (std::size_t i = 5; i < tickets.size(); ++i)
    {
        table.complete(tickets[i], 9.0);
        restored.complete(tickets[i], 9.0);
        CHECK(restored.select(kTask)->index == table.select(kTask)->index);
        CHECK(restored.select(kTask)->score == table.select(kTask)->score);
    }
}

TEST_CASE("what is set of all nodes at once is as set one by one")
{
    std::mt19937 random(4);
    auto const nodes = testing::random_nodes(random, 300);
    NodeTable at_once(nodes, kGreen);
    NodeTable one_by_one(nodes, kGreen);
    std::vector<double> intensities(nodes.size());
    std::vector<double> const loads(nodes.size(), 0.1);
    for (auto round = 0; round < 20; ++round)
    {
        if (round == 10)
        {
            at_once.remove(7);
            one_by_one.remove(7);
        }
        for (auto &intensity : intensities)
            intensity = static_cast<double>(random() % 800);
        at_once.set_all(
            {{Field::intensity_g_per_kwh, intensities}, {Field::load, loads}});
        for (std::size_t i = 0; i < nodes.size(); ++i)
        {
            if (!one_by_one.has(i))
                continue;
            one_by_one.set(i, Field::intensity_g_per_kwh, intensities[i]);
            one_by_one.set(i, Field::load, 0.1);
        }
        for (auto task = 0; task < 5; ++task)
        {
            auto const placed = at_once.place(kTask);
            auto const expected = one_by_one.place(kTask);
            REQUIRE(placed.has_value() == expected.has_value());
            if (!placed)
                continue;
            CHECK(placed->index == expected->index);
            CHECK(placed->score == expected->score);
        }
    }
    CHECK(at_once.node(7).values == one_by_one.node(7).values);
}

TEST_CASE("columns of another length change nothing")
{
    NodeTable table(std::vector<Node>(3, {{1, 100, 1, 1, 1, 0, 0, 1, 0, 1, 0}}),
                    kGreen);
    std::vector<double> const three(3, 5.0);
    std::vector<double> const two(2, 5.0);
    CHECK_THROWS_AS(
        table.set_all({{Field::intensity_g_per_kwh, three}, {Field::power_w, two}}),
        std::invalid_argument);
    CHECK(table.node(0)[Field::intensity_g_per_kwh] == 1.0);
}

TEST_CASE("a task placed by something else is held and given back like others")
{
    NodeTable table({{{1, 100, 1, 1, 1, 0, 0, 50, 0, 1, 0}}}, kGreen);
    auto const ticket = table.reserve(0, {0.4, 30});
    CHECK(table.free_cpu_cores(0) == 0.6);
    CHECK(table.free_memory_mb(0) == 70);
    CHECK(table.node(0)[Field::running_tasks] == 1);
    table.complete(ticket, std::nullopt);
    CHECK(table.free_cpu_cores(0) == 1);
    CHECK(table.node(0)[Field::avg_time_ms] == 50);
    CHECK_THROWS_AS(table.complete(ticket, std::nullopt), std::invalid_argument);
    table.remove(0);
    CHECK_THROWS_AS(table.reserve(0, kTask), std::out_of_range);
    CHECK_THROWS_AS(table.reserve(1, kTask), std::out_of_range);
}
