#include "carbonedge/partition.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <vector>

using namespace carbonedge;

namespace
{
constexpr auto kInfinity = std::numeric_limits<double>::infinity();

struct Problem
{
    std::size_t L;
    std::size_t N;
    std::vector<double> time, energy, memory, cut, capacity, per_j, per_ms, link_ms,
        mbps, link_j, link_per_j, overhead_ms, overhead_j;

    [[nodiscard]] Chain chain() const
    {
        return {time,
                energy,
                memory,
                cut,
                capacity,
                per_j,
                per_ms,
                link_ms,
                mbps,
                link_j,
                link_per_j,
                overhead_ms,
                overhead_j};
    }
};

Problem
random_problem(std::mt19937 &random, std::size_t num_operators, std::size_t num_nodes)
{
    Problem p;
    p.L = num_operators;
    p.N = num_nodes;
    auto const fill = [&](std::size_t count, unsigned most)
    {
        std::vector<double> values;
        for (std::size_t i = 0; i < count; ++i)
            values.push_back(static_cast<double>(random() % (most + 1)));
        return values;
    };
    p.time = fill(p.L * p.N, 9);
    p.energy = fill(p.L * p.N, 9);
    p.memory = fill(p.L, 5);
    p.cut = fill(p.L + 1, 4);
    p.capacity = fill(p.N, 20);
    p.per_j = fill(p.N, 9);
    p.per_ms = fill(p.N, 2);
    p.link_ms = fill(p.N * p.N, 3);
    for (auto &latency : p.link_ms)
        if (random() % 5 == 0)
            latency = kInfinity;
    p.mbps.assign(p.N * p.N, 8000.0);
    p.link_j = fill(p.N * p.N, 3);
    p.link_per_j = fill(p.N * p.N, 9);
    p.overhead_ms = fill(p.N, 2);
    p.overhead_j = fill(p.N, 2);
    return p;
}

Problem random_problem(std::mt19937 &random)
{
    auto const num_operators = 1 + random() % 5;
    return random_problem(random, num_operators, 1 + random() % 4);
}

struct Totals
{
    double latency = 0.0, energy = 0.0, emissions = 0.0, slowest = 0.0;

    [[nodiscard]] Totals with(double ms, double j, double g) const
    {
        return {latency + ms, energy + j, emissions + g, std::max(slowest, ms)};
    }

    [[nodiscard]] double of(Objective objective) const
    {
        switch (objective)
        {
        case Objective::latency:
            return latency;
        case Objective::energy:
            return energy;
        case Objective::emissions:
            return emissions;
        case Objective::throughput:
            break;
        }
        return slowest;
    }
};

// Every plan, by trying each next stage on each node left.
void each_plan(Problem const &p,
               std::size_t start,
               std::size_t node,
               unsigned used,
               Totals const &so_far,
               std::function<void(Totals const &)> const &visit)
{
    auto ms = p.overhead_ms[node];
    auto j = p.overhead_j[node];
    auto memory = 0.0;
    for (auto stop = start + 1; stop <= p.L; ++stop)
    {
        ms += p.time[(stop - 1) * p.N + node];
        j += p.energy[(stop - 1) * p.N + node];
        memory += p.memory[stop - 1];
        if (memory > p.capacity[node])
            return;
        auto const here = so_far.with(ms, j, j * p.per_j[node] + ms * p.per_ms[node]);
        if (stop == p.L)
            visit(here);
        for (std::size_t next = 0; next < p.N && stop < p.L; ++next)
        {
            auto const link = node * p.N + next;
            if (used >> next & 1u || std::isinf(p.link_ms[link]))
                continue;
            auto const hop_j = p.link_j[link] * p.cut[stop];
            each_plan(p,
                      stop,
                      next,
                      used | 1u << next,
                      here.with(p.link_ms[link] + p.cut[stop],
                                hop_j,
                                hop_j * p.link_per_j[link]),
                      visit);
        }
    }
}

// The least of an objective within a latency; infinite when no plan meets it.
double
brute_force(Problem const &problem, Objective objective, double slo_ms = kInfinity)
{
    auto best = kInfinity;
    auto const visit = [&](Totals const &totals)
    {
        if (totals.latency <= slo_ms)
            best = std::min(best, totals.of(objective));
    };
    for (std::size_t node = 0; node < problem.N; ++node)
        each_plan(problem, 0, node, 1u << node, {}, visit);
    return best;
}
} // namespace

TEST_CASE("no plan is better, for any objective, with and without a latency target")
{
    std::mt19937 random(7);
    for (auto round = 0; round < 1500; ++round)
    {
        auto const problem = random_problem(random);
        auto const objective = static_cast<Objective>(random() % 4);
        Limits limits;
        if (random() % 2)
            limits.slo_ms = static_cast<double>(random() % 40);

        auto const best = brute_force(problem, objective, limits.slo_ms);
        auto exhausted = false;
        auto const plan = best_partition(problem.chain(), objective, limits, exhausted);
        CHECK_FALSE(exhausted);
        REQUIRE(plan.has_value() == std::isfinite(best));
        if (!plan)
            continue;
        CHECK(plan->optimal);
        CHECK(plan->value == doctest::Approx(best));
        CHECK(plan->latency_ms <= limits.slo_ms);
        CHECK(plan->stops.back() == static_cast<std::int64_t>(problem.L));
    }
}

// What is cheap and slow must not hide what is dear and fast, which only shows when
// many stages are forced and few nodes are left.
TEST_CASE("no plan is better where memory and time are short")
{
    std::mt19937 random(9);
    for (auto round = 0; round < 800; ++round)
    {
        auto problem = random_problem(random, 6, 5);
        problem.memory.assign(problem.L, 1.0);
        for (auto &capacity : problem.capacity)
            capacity = static_cast<double>(1 + random() % 2);
        auto const objective = static_cast<Objective>(random() % 4);
        auto const fastest = brute_force(problem, Objective::latency);
        Limits limits;
        limits.slo_ms = fastest * (1.0 + 0.1 * static_cast<double>(random() % 8));

        auto exhausted = false;
        auto const plan = best_partition(problem.chain(), objective, limits, exhausted);
        REQUIRE(plan.has_value() == std::isfinite(fastest));
        if (plan)
            CHECK(plan->value
                  == doctest::Approx(brute_force(problem, objective, limits.slo_ms)));
    }
}

TEST_CASE("a search cut short says so and brackets the best")
{
    std::mt19937 random(8);
    for (auto round = 0; round < 300; ++round)
    {
        auto const problem = random_problem(random);
        auto exhausted = false;
        auto const best =
            best_partition(problem.chain(), Objective::latency, {}, exhausted);
        auto const hasty = best_partition(problem.chain(),
                                          Objective::latency,
                                          {kInfinity, kMaxPartitionNodes, problem.N},
                                          exhausted);
        CHECK(hasty.has_value() <= best.has_value());
        if (!hasty)
            continue;
        CHECK(hasty->optimal == !exhausted);
        CHECK(hasty->bound <= doctest::Approx(best->value));
        CHECK(hasty->value >= doctest::Approx(best->value));
    }
}
