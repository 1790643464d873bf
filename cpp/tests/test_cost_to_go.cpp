#include "random_chain.hpp"

#include "carbonedge/cost_to_go.hpp"
#include "carbonedge/uses.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <random>

using namespace carbonedge;

namespace
{
constexpr auto kAnyNumber = std::numeric_limits<std::size_t>::max();

// The same by recursion over every next stop and kind, memory and all.
double least_to_go(RandomChain const &problem,
                   ChainCosts const &costs,
                   UseStates const &states,
                   std::size_t start,
                   std::size_t kind,
                   std::uint32_t state)
{
    auto least = kInfinity;
    auto memory = 0.0;
    for (auto stop = start + 1; stop <= problem.L; ++stop)
    {
        memory += problem.memory[stop - 1];
        if (memory > problem.capacity[kind])
            break;
        auto const stage = costs.stage(start, stop, kind);
        if (stop == problem.L)
            least = std::min(least, stage + costs.leave(kind));
        for (std::size_t next = 0; next < problem.N && stop < problem.L; ++next)
            if (auto const after = states.next(state, next); after != UseStates::kNone)
                least = std::min(
                    least,
                    stage + costs.transfer(stop, kind, next)
                        + least_to_go(problem, costs, states, stop, next, after));
    }
    return least;
}
} // namespace

TEST_CASE("the cost to go is the least over all that may follow")
{
    std::mt19937 random(3);
    for (auto round = 0; round < 300; ++round)
    {
        RandomChain const problem(random);
        auto const chain = problem.chain();
        auto const latency = latency_of(chain);
        StageLimits const limits(chain, latency, kInfinity);
        UseStates states(Resources(chain, round % 2 == 0 ? kAnyNumber : 2));
        if (round % 3 != 0)
            states.track(random() % (problem.N + 1), 100);
        CostToGo const to_go(latency, limits, states);
        for (std::size_t cut = 0; cut < problem.L; ++cut)
            for (std::size_t kind = 0; kind < problem.N; ++kind)
                for (std::uint32_t state = 0; state < states.size(); ++state)
                {
                    auto const expected =
                        least_to_go(problem, latency, states, cut, kind, state);
                    auto const found = to_go.run(cut, kind, state);
                    // Infinity is not approximately itself.
                    CHECK((found == expected || found == doctest::Approx(expected)));
                }
    }
}

TEST_CASE("a table is not finished once its time is over")
{
    std::mt19937 random(5);
    RandomChain const problem(random, 5, 3);
    auto const chain = problem.chain();
    auto const latency = latency_of(chain);
    StageLimits const limits(chain, latency, kInfinity);
    UseStates const states(Resources(chain, kAnyNumber));
    Deadline const over(0.0);
    Deadline const never(kInfinity);
    CHECK(!CostToGo(latency, limits, states, &over).finished());
    CHECK(CostToGo(latency, limits, states, &never).finished());
    CHECK(CostToGo(latency, limits, states).finished());
}

TEST_CASE("no stage and no hop is longer than it may be")
{
    std::mt19937 random(4);
    for (auto round = 0; round < 200; ++round)
    {
        RandomChain const problem(random);
        auto const chain = problem.chain();
        auto const latency = latency_of(chain);
        auto const most_ms = static_cast<double>(random() % 20);
        StageLimits const limits(chain, latency, most_ms);
        for (std::size_t kind = 0; kind < problem.N; ++kind)
            for (std::size_t start = 0; start < problem.L; ++start)
            {
                auto const stop = limits.farthest(start, kind);
                if (stop > start)
                    CHECK(latency.stage(start, stop, kind) <= most_ms);
                if (stop < problem.L)
                {
                    auto memory = 0.0;
                    for (auto i = start; i <= stop; ++i)
                        memory += problem.memory[i];
                    CHECK((memory > problem.capacity[kind]
                           || latency.stage(start, stop + 1, kind) > most_ms));
                }
                for (std::size_t next = 0; next < problem.N; ++next)
                    CHECK(limits.may_hop(start, kind, next)
                          == (latency.transfer(start, kind, next) <= most_ms));
            }
    }
}
