// Fixed cases whose instructions benches/instructions.py counts: only those within
// `measured` do count.
#include "carbonedge/node_table.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

using namespace carbonedge;

namespace
{
constexpr Task kTask{0.1, 64.0};
constexpr std::size_t kDecisions = 200;

// The same on every machine: a distribution of the library's may not be.
double within(std::mt19937 &random, double low, double high)
{
    return low + (high - low) * static_cast<double>(random()) * 0x1p-32;
}

// About a tenth of them above the load limit.
NodeTable table(std::size_t count, Scoring scoring)
{
    std::mt19937 random(1);
    std::vector<Node> nodes;
    for (std::size_t i = 0; i < count; ++i)
        nodes.push_back({{within(random, 1, 64),
                          within(random, 1e3, 1e5),
                          within(random, 1, 300),
                          within(random, 20, 800),
                          1.0,
                          count < 10 ? 0.0 : within(random, 0, 0.89),
                          within(random, 0, 50),
                          within(random, 5, 500),
                          static_cast<double>(random() % 5),
                          4.0,
                          0.0}});
    return NodeTable(nodes, {{0.15, 0.15, 0.10, 0.10, 0.50}, scoring});
}

// One task completes and one node's load changes before each decision.
[[gnu::noinline]] void measured(NodeTable &nodes)
{
    std::mt19937 random(2);
    std::vector<Ticket> tickets;
    for (std::size_t i = 0; i < kDecisions; ++i)
    {
        if (auto const placed = nodes.place(kTask))
            tickets.push_back(placed->ticket);
        if (tickets.size() > 8)
        {
            nodes.complete(tickets[i % 8], within(random, 5, 500));
            tickets[i % 8] = tickets.back();
            tickets.pop_back();
        }
        nodes.set(random() % nodes.size(), Field::load, within(random, 0, 0.7));
    }
}

[[gnu::noinline]] void measured(NodeTable &nodes, std::vector<std::int64_t> &chosen)
{
    std::vector<double> const cpu(chosen.size(), 1e-6);
    std::vector<double> const memory(chosen.size(), 1e-3);
    nodes.place_many(cpu, memory, chosen, {});
}

void decide(std::size_t count, Scoring scoring)
{
    auto nodes = table(count, scoring);
    (void)nodes.select(kTask);
    measured(nodes);
}

void place_many()
{
    auto nodes = table(3, Scoring::normalized);
    std::vector<std::int64_t> chosen(1000);
    measured(nodes, chosen);
}
} // namespace

int main(int argc, char **argv)
{
    std::map<std::string, std::function<void()>> const cases{
        {"normalized-3", [] { decide(3, Scoring::normalized); }},
        {"normalized-1000", [] { decide(1'000, Scoring::normalized); }},
        {"normalized-20000", [] { decide(20'000, Scoring::normalized); }},
        {"paper-20000", [] { decide(20'000, Scoring::paper); }},
        {"many-3", place_many},
    };
    if (argc != 2 || !cases.contains(argv[1]))
    {
        for (auto const &[name, _] : cases)
            std::puts(name.c_str());
        return argc == 1 ? 0 : 2;
    }
    cases.at(argv[1])();
}
