#include "every_plan.hpp"
#include "random_chain.hpp"

#include "carbonedge/partition.hpp"
#include "carbonedge/set_search.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

using namespace carbonedge;

namespace
{
constexpr auto kAnyNumber = std::numeric_limits<std::size_t>::max();

struct Case
{
    RandomChain problem;
    Limits limits;

    [[nodiscard]] double least_latency() const
    {
        auto least = kInfinity;
        EveryPlan(problem,
                  [&](Totals const &totals)
                  {
                      if (totals.within(limits))
                          least = std::min(least, totals.latency);
                  });
        return least;
    }
};

double total(ChainCosts const &costs, Partition const &plan)
{
    auto const kind = [&](std::size_t k)
    { return static_cast<std::size_t>(plan.kinds[k]); };
    auto sum = costs.enter(kind(0)) + costs.leave(kind(plan.kinds.size() - 1));
    std::size_t start = 0;
    for (std::size_t k = 0; k < plan.kinds.size(); ++k)
    {
        auto const stop = static_cast<std::size_t>(plan.stops[k]);
        sum += costs.stage(start, stop, kind(k));
        if (k + 1 < plan.kinds.size())
            sum += costs.transfer(stop, kind(k), kind(k + 1));
        start = stop;
    }
    return sum;
}

// Stages are short and nodes few, and sometimes stages are, too.
Case random_case(std::mt19937 &random)
{
    Case result{RandomChain(random, 2 + random() % 5, 1 + random() % 4), {}};
    for (auto &capacity : result.problem.capacity)
        capacity = static_cast<double>(4 + random() % 12);
    if (random() % 3 == 0)
        result.limits.max_stages = 1 + random() % 3;
    return result;
}
} // namespace

TEST_CASE("a search over combinations of nodes finds the least below a ceiling")
{
    std::mt19937 random(15);
    for (auto round = 0; round < 1000; ++round)
    {
        auto const [problem, limits] = random_case(random);
        auto const expected = Case{problem, limits}.least_latency();
        auto const chain = problem.chain();
        auto const latency = latency_of(chain);
        StageLimits const stage_limits(chain, latency, kInfinity);
        Resources const resources(chain, limits.max_stages);
        UseStates every(resources);
        REQUIRE(every.track_kinds(kAnyNumber));
        every.track(resources.stages(), kAnyNumber);
        // The table tells some of the nodes apart.
        UseStates some(resources);
        if (round % 2 == 0)
            some.track(random() % problem.N, kAnyNumber);
        CostToGo const to_go(latency, stage_limits, some);
        SetSearch sets(latency, stage_limits, every, to_go, some);
        Deadline const never(kInfinity);
        for (auto const ceiling : {kInfinity, expected + 1.0, expected})
        {
            CHECK(sets.run(ceiling, never) == SetSearch::Outcome::finished);
            auto const plan = sets.plan();
            REQUIRE(plan.has_value() == (expected < ceiling));
            if (!plan)
                continue;
            CHECK(total(latency, *plan) == doctest::Approx(expected));
            CHECK(resources.overused(plan->kinds).empty());
        }
        CHECK(sets.run(kInfinity, Deadline(0.0)) == SetSearch::Outcome::cut_short);
        CHECK(!sets.plan());
    }
}
