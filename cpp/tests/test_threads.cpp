// Several threads on one table; to be run under ThreadSanitizer too.
#include "carbonedge/node_table.hpp"

#include "random_nodes.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

using namespace carbonedge;

TEST_CASE("threads that place, complete, update, add and remove lose nothing")
{
    constexpr std::size_t kThreads = 4;
    constexpr Task kTask{0.05, 4.0};
    std::mt19937 random(5);
    auto const nodes = testing::random_nodes(random, 300);
    NodeTable table(nodes, {{0.15, 0.15, 0.10, 0.10, 0.50}});

    auto const work = [&](unsigned seed)
    {
        std::mt19937 own(seed);
        std::vector<Ticket> tickets;
        std::vector<double> const cpu(8, kTask.cpu_cores);
        std::vector<double> const memory(8, kTask.memory_mb);
        std::vector<std::int64_t> chosen(8);
        std::vector<Ticket> taken(8);
        for (auto step = 0; step < 400; ++step)
        {
            if (auto const placed = table.place(kTask))
                tickets.push_back(placed->ticket);
            if (step % 16 == 0)
            {
                table.place_many(cpu, memory, chosen, taken);
                for (auto const ticket : taken)
                    if (ticket != 0)
                        tickets.push_back(ticket);
            }
            if (step % 20 == 0)
                tickets.push_back(table.reserve(own() % 200, kTask));
            if (!tickets.empty() && own() % 2 == 0)
            {
                table.complete(tickets.back(), 10.0);
                tickets.pop_back();
            }
            table.set(own() % 200, Field::load, 0.1 * static_cast<double>(own() % 9));
            if (step % 50 == 0)
                table.remove(200 + seed * 8 + static_cast<std::size_t>(step) / 50);
            if (step % 100 == 0)
                table.add(nodes[0]);
            (void)table.scan(kTask);
            (void)table.explain(kTask);
        }
        for (auto const ticket : tickets)
            table.complete(ticket, 10.0);
    };
    std::vector<std::thread> threads;
    for (unsigned seed = 0; seed < kThreads; ++seed)
        threads.emplace_back(work, seed);
    for (auto &thread : threads)
        thread.join();

    CHECK(table.size() == nodes.size() + kThreads * 4);
    CHECK(table.snapshot().reservations.empty());
    for (std::size_t i = 0; i < 200; ++i)
    {
        auto const node = table.node(i);
        CHECK(node[Field::running_tasks] == nodes[i][Field::running_tasks]);
        CHECK(table.free_memory_mb(i) == node[Field::memory_mb]);
    }
}
