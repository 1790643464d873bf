#include "every_plan.hpp"
#include "random_chain.hpp"

#include "carbonedge/partition.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

using namespace carbonedge;

namespace
{
std::vector<Totals> plans_within(RandomChain const &problem, Limits const &limits)
{
    std::vector<Totals> plans;
    EveryPlan(problem,
              [&](Totals const &totals)
              {
                  if (totals.within(limits))
                      plans.push_back(totals);
              });
    return plans;
}

double least_of(std::vector<Totals> const &plans, Prices const &prices)
{
    auto least = kInfinity;
    for (auto const &plan : plans)
        least = std::min(least, plan.at(prices));
    return least;
}

Prices random_prices(std::mt19937 &random)
{
    switch (random() % 4)
    {
    case 0:
        return {.per_ms = 1.0};
    case 1:
        return {.per_j = 1.0};
    case 2:
        return {.per_g = 1.0};
    default:
        return {1.0, static_cast<double>(random() % 3), 0.5};
    }
}

Limits random_limits(std::mt19937 &random)
{
    Limits limits;
    if (random() % 2 == 0)
        limits.slo_ms = static_cast<double>(random() % 40);
    if (random() % 3 == 0)
        limits.max_stages = 1 + random() % 3;
    if (random() % 3 == 0)
        limits.max_part_ms = static_cast<double>(random() % 30);
    return limits;
}

// Many stages are forced and few nodes are left, so that what is cheap and slow must
// not hide what is dear and fast.
RandomChain tight_problem(std::mt19937 &random)
{
    RandomChain problem(random, 6, 5);
    problem.memory.assign(problem.L, 1.0);
    for (auto &capacity : problem.capacity)
        capacity = static_cast<double>(1 + random() % 2);
    return problem;
}

void check_least(RandomChain const &problem, Prices const &prices, Limits const &limits)
{
    auto const plans = plans_within(problem, limits);
    auto const found = least(problem.chain(), prices, limits);
    CHECK(found.proven);
    CHECK(found.gap == 0.0);
    REQUIRE(found.plans.empty() == plans.empty());
    if (plans.empty())
        return;
    auto const &plan = found.plans.front();
    CHECK(plan.value == doctest::Approx(least_of(plans, prices)));
    CHECK(plan.latency_ms <= limits.slo_ms);
    CHECK(plan.stops.back() == static_cast<std::int64_t>(problem.L));
    CHECK(plan.kinds.size() <= limits.max_stages);
    CHECK(plan.bottleneck_ms <= limits.max_part_ms);
}

// The same problem in numbers of all magnitudes.
RandomChain wild_problem(std::mt19937 &random)
{
    RandomChain problem(random);
    for (auto *numbers : {&problem.time,
                          &problem.energy,
                          &problem.link_ms,
                          &problem.link_j,
                          &problem.overhead_ms,
                          &problem.overhead_j})
        for (auto &number : *numbers)
            number *= std::pow(10.0, static_cast<int>(random() % 22) - 6);
    return problem;
}

// Those of the plans that no other one betters.
std::vector<Totals> best_of(std::vector<Totals> plans, Prices const &prices)
{
    std::sort(plans.begin(),
              plans.end(),
              [&](Totals const &a, Totals const &b)
              {
                  return a.latency < b.latency
                         || (a.latency == b.latency && a.at(prices) < b.at(prices));
              });
    std::vector<Totals> best;
    for (auto const &plan : plans)
        if (best.empty() || plan.at(prices) < best.back().at(prices) - 1e-9)
            best.push_back(plan);
    return best;
}

void check_front(RandomChain const &problem, Prices const &prices, Limits const &limits)
{
    auto const expected = best_of(plans_within(problem, limits), prices);
    auto const found = front(problem.chain(), prices, limits);
    CHECK(found.proven);
    REQUIRE(found.plans.size() == expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i)
    {
        CHECK(found.plans[i].latency_ms == doctest::Approx(expected[i].latency));
        CHECK(found.plans[i].value == doctest::Approx(expected[i].at(prices)));
    }
}

void check_throughput(RandomChain const &problem, Limits const &limits)
{
    auto const plans = plans_within(problem, limits);
    auto const found = most_throughput(problem.chain(), limits);
    CHECK(found.proven);
    REQUIRE(found.plans.empty() == plans.empty());
    if (plans.empty())
        return;
    auto slowest = kInfinity;
    for (auto const &plan : plans)
        slowest = std::min(slowest, plan.slowest);
    CHECK(found.plans.front().bottleneck_ms == doctest::Approx(slowest));
    CHECK(found.plans.front().latency_ms <= limits.slo_ms);
    CHECK(found.plans.front().kinds.size() <= limits.max_stages);
}
} // namespace

TEST_CASE("no plan within the limits costs less")
{
    std::mt19937 random(7);
    for (auto round = 0; round < 3000; ++round)
    {
        RandomChain const problem(random);
        check_least(problem, random_prices(random), random_limits(random));
    }
}

TEST_CASE("no plan costs less where memory and time are short")
{
    std::mt19937 random(9);
    for (auto round = 0; round < 800; ++round)
    {
        auto const problem = tight_problem(random);
        Limits limits;
        limits.slo_ms = least_of(plans_within(problem, {}), {.per_ms = 1.0})
                        * (1.0 + 0.1 * static_cast<double>(random() % 8));
        if (std::isfinite(limits.slo_ms))
            check_least(problem, random_prices(random), limits);
    }
}

TEST_CASE("no plan costs less in numbers of all magnitudes")
{
    std::mt19937 random(13);
    for (auto round = 0; round < 2000; ++round)
    {
        auto const problem = wild_problem(random);
        auto const plans = plans_within(problem, {});
        Limits limits;
        if (!plans.empty() && random() % 2 == 0)
            limits.slo_ms = plans[random() % plans.size()].latency * (1.0 + 1e-9);
        auto const prices = random_prices(random);
        auto const found = least(problem.chain(), prices, limits);
        CHECK(found.proven);
        REQUIRE(found.plans.empty() == plans.empty());
        if (plans.empty())
            continue;
        auto const expected = least_of(plans_within(problem, limits), prices);
        auto const &plan = found.plans.front();
        CHECK(std::abs(plan.value - expected) <= 1e-9 * expected);
        CHECK(plan.latency_ms <= limits.slo_ms);
    }
}

TEST_CASE("a target that the best plan meets changes nothing")
{
    std::mt19937 random(14);
    for (auto round = 0; round < 500; ++round)
    {
        auto const problem =
            round % 2 == 0 ? RandomChain(random) : tight_problem(random);
        auto const chain = problem.chain();
        auto const check = [&](auto const &search)
        {
            auto const free = search(Limits{});
            if (free.plans.empty())
                return;
            Limits loose;
            loose.slo_ms = free.plans.front().latency_ms
                           * (1.0 + static_cast<double>(random() % 3));
            auto const held = search(loose);
            REQUIRE(held.proven);
            CHECK(held.plans.front().stops == free.plans.front().stops);
            CHECK(held.plans.front().kinds == free.plans.front().kinds);
        };
        check([&](Limits const &limits)
              { return least(chain, {.per_g = 1.0}, limits); });
        check([&](Limits const &limits) { return most_throughput(chain, limits); });
    }
}

TEST_CASE("a front holds every plan that none betters, and no other")
{
    std::mt19937 random(10);
    for (auto round = 0; round < 2000; ++round)
    {
        RandomChain const problem(random);
        check_front(problem, random_prices(random), random_limits(random));
    }
    for (auto round = 0; round < 300; ++round)
        check_front(tight_problem(random), {.per_g = 1.0}, {});
}

TEST_CASE("no plan within the limits has a quicker slowest part")
{
    std::mt19937 random(11);
    for (auto round = 0; round < 3000; ++round)
        check_throughput(RandomChain(random), random_limits(random));
    for (auto round = 0; round < 800; ++round)
        check_throughput(tight_problem(random), {});
}

TEST_CASE("a search cut short says so and brackets the best")
{
    std::mt19937 random(8);
    Limits hasty;
    hasty.time_limit_s = 0.0;
    for (auto round = 0; round < 300; ++round)
    {
        RandomChain const problem(random);
        auto const best = least(problem.chain(), {.per_g = 1.0}, {});
        auto const found = least(problem.chain(), {.per_g = 1.0}, hasty);
        if (found.plans.empty() || best.plans.empty())
            continue;
        auto const value = found.plans.front().value;
        auto const exact = best.plans.front().value;
        CHECK(value >= doctest::Approx(exact));
        CHECK(value * (1.0 - found.gap) <= doctest::Approx(exact));
    }
}

TEST_CASE("a search within a latency may be cut short at any moment")
{
    std::mt19937 random(12);
    for (auto round = 0; round < 400; ++round)
    {
        auto problem =
            random() % 2 == 0 ? RandomChain(random, 12, 4) : RandomChain(random, 8, 6);
        for (auto &capacity : problem.capacity)
            capacity += 10.0;
        Limits limits;
        limits.slo_ms = static_cast<double>(40 + random() % 100);
        auto const best = least(problem.chain(), {.per_g = 1.0}, limits);
        limits.time_limit_s = 1e-6 * static_cast<double>(random() % 200);
        auto const hasty = least(problem.chain(), {.per_g = 1.0}, limits);
        if (hasty.plans.empty() || best.plans.empty())
            continue;
        auto const &plan = hasty.plans.front();
        CHECK(plan.latency_ms <= limits.slo_ms);
        CHECK(plan.value * (1.0 - hasty.gap)
              <= doctest::Approx(best.plans.front().value));
    }
}
