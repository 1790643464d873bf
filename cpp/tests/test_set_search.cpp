#include "every_plan.hpp"
#include "random_chain.hpp"

#include "carbonedge/set_search.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <random>

using namespace carbonedge;

namespace
{
constexpr auto kAnyNumber = std::numeric_limits<std::size_t>::max();
constexpr std::size_t kManyStates = 1000;

// Cost of the plan, where there is one.
double value(SetSearch const &sets, ChainCosts const &costs)
{
    auto const plan = sets.plan();
    if (!plan)
        return kInfinity;
    auto sum = 0.0;
    std::size_t start = 0;
    for (std::size_t i = 0; i < plan->kinds.size(); ++i)
    {
        auto const kind = static_cast<std::size_t>(plan->kinds[i]);
        auto const stop = static_cast<std::size_t>(plan->stops[i]);
        sum += i == 0 ? costs.enter(kind)
                      : costs.transfer(
                          start, static_cast<std::size_t>(plan->kinds[i - 1]), kind);
        sum += costs.stage(start, stop, kind);
        start = stop;
    }
    return sum + costs.leave(static_cast<std::size_t>(plan->kinds.back()));
}
} // namespace

TEST_CASE("the cheapest plan over combinations of nodes is the cheapest of all")
{
    std::mt19937 random(6);
    Deadline const never(kInfinity);
    for (auto round = 0; round < 600; ++round)
    {
        RandomChain const problem(random);
        auto const chain = problem.chain();
        auto const latency = latency_of(chain);
        auto const max_stages = round % 3 == 0 ? 2 : kAnyNumber;
        Resources const resources(chain, max_stages);
        StageLimits const limits(chain, latency, kInfinity);
        UseStates every(resources);
        every.track_kinds(kManyStates);
        every.track(resources.stages(), kManyStates);
        UseStates states(resources);
        if (round % 2 == 0)
            states.track(random() % (problem.N + 1), kManyStates);
        CostToGo const to_go(latency, limits, states);

        auto least = kInfinity;
        EveryPlan(problem,
                  [&](Totals const &totals)
                  {
                      if (totals.stages <= max_stages)
                          least = std::min(least, totals.latency);
                  });
        SetSearch sets(latency, limits, every, to_go, states);
        CHECK(sets.run(kInfinity, never) == SetSearch::Outcome::finished);
        auto const found = value(sets, latency);
        // Infinity is not approximately itself.
        CHECK((found == least || found == doctest::Approx(least)));

        sets.run(least + 0.5, never);
        CHECK(value(sets, latency) == found);
        sets.run(least - 0.5, never);
        CHECK(!sets.plan());
    }
}

TEST_CASE("a search over combinations whose time is over says so")
{
    std::mt19937 random(7);
    RandomChain const problem(random, 5, 3);
    auto const chain = problem.chain();
    auto const latency = latency_of(chain);
    Resources const resources(chain, kAnyNumber);
    StageLimits const limits(chain, latency, kInfinity);
    UseStates every(resources);
    every.track_kinds(kManyStates);
    UseStates const states(resources);
    CostToGo const to_go(latency, limits, states);
    SetSearch sets(latency, limits, every, to_go, states);
    CHECK(sets.run(kInfinity, Deadline(0.0)) == SetSearch::Outcome::cut_short);
    CHECK(!sets.plan());
}
