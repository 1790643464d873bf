#include "carbonedge/cost_to_go.hpp"

#include "carbonedge/units.hpp"

#include <algorithm>
#include <cmath>

namespace carbonedge
{
namespace
{
// Per state, the least that a stage on a node of one kind and all after it cost, over
// the stops in (start, farthest] for starts that fall one by one and farthest stops
// that never rise. The stops are held in two parts, on this side of a middle and
// beyond, and only ever added to: a difference of sums would lose what is small beside
// what both hold.
class FallingWindow
{
public:
    FallingWindow(ChainCosts const &costs, std::size_t kind, std::size_t num_states)
        : steps_(costs.steps(kind)), num_kinds_(costs.num_kinds()), kind_(kind),
          num_states_(num_states), middle_(costs.num_operators()),
          near_(num_states, kInfinity)
    {
    }

    // Takes the start back by one operator. `hops` is of the table.
    void fall(std::size_t start, std::size_t farthest, std::vector<double> const &hops)
    {
        if (farthest < middle_)
        {
            divide(start, farthest, hops);
            return;
        }
        auto const step = steps_[start];
        to_middle_ += step;
        auto const *at_next = at(hops, start + 1);
        for (std::size_t state = 0; state < num_states_; ++state)
            near_[state] = step + std::min(near_[state], at_next[state]);
    }

    // Into `least`, the overhead in.
    void put(std::size_t farthest, double overhead, double *least) const
    {
        if (farthest <= middle_)
        {
            for (std::size_t state = 0; state < num_states_; ++state)
                least[state] = near_[state] + overhead;
            return;
        }
        auto const *far = far_.data() + (farthest - middle_ - 1) * num_states_;
        for (std::size_t state = 0; state < num_states_; ++state)
            least[state] = std::min(near_[state], to_middle_ + far[state]) + overhead;
    }

private:
    [[nodiscard]] double const *at(std::vector<double> const &hops,
                                   std::size_t cut) const
    {
        return hops.data() + (cut * num_kinds_ + kind_) * num_states_;
    }

    // All stops are beyond the middle from here on.
    void
    divide(std::size_t start, std::size_t farthest, std::vector<double> const &hops)
    {
        middle_ = start;
        to_middle_ = 0.0;
        std::fill(near_.begin(), near_.end(), kInfinity);
        far_.resize((std::max(farthest, start) - start) * num_states_);
        auto *far = far_.data();
        auto cost = 0.0;
        for (auto stop = start + 1; stop <= farthest; ++stop, far += num_states_)
        {
            cost += steps_[stop - 1];
            auto const *hop = at(hops, stop);
            for (std::size_t state = 0; state < num_states_; ++state)
            {
                auto const value = cost + hop[state];
                far[state] =
                    stop == start + 1
                        ? value
                        : std::min(far[static_cast<std::ptrdiff_t>(state)
                                       - static_cast<std::ptrdiff_t>(num_states_)],
                                   value);
            }
        }
    }

    double const *steps_;
    std::size_t num_kinds_;
    std::size_t kind_;
    std::size_t num_states_;
    std::size_t middle_;
    double to_middle_ = 0.0;
    std::vector<double> near_; // [S], stops up to the middle
    std::vector<double> far_;  // [stops, S], any stop beyond the middle up to one
};
} // namespace

CostToGo::CostToGo(ChainCosts const &costs,
                   StageLimits const &limits,
                   UseStates const &states,
                   Deadline const *deadline)
    : num_kinds_(costs.num_kinds()), num_states_(states.size()),
      run_(costs.num_operators() * num_kinds_ * num_states_, kInfinity),
      hop_((costs.num_operators() + 1) * num_kinds_ * num_states_, kInfinity),
      whole_(kInfinity)
{
    auto const num_operators = costs.num_operators();
    auto const at = [&](std::size_t cut, std::size_t kind)
    { return (cut * num_kinds_ + kind) * num_states_; };

    std::vector<FallingWindow> windows;
    for (std::size_t kind = 0; kind < num_kinds_; ++kind)
    {
        windows.emplace_back(costs, kind, num_states_);
        if (limits.may_leave(kind))
            std::fill_n(hop_.begin()
                            + static_cast<std::ptrdiff_t>(at(num_operators, kind)),
                        num_states_,
                        costs.leave(kind));
    }

    for (auto start = num_operators; start-- > 0;)
    {
        if (deadline != nullptr && deadline->passed())
        {
            finished_ = false;
            return;
        }
        for (std::size_t kind = 0; kind < num_kinds_; ++kind)
        {
            auto const farthest = limits.farthest(start, kind);
            windows[kind].fall(start, farthest, hop_);
            windows[kind].put(
                farthest, costs.overhead(kind), run_.data() + at(start, kind));
        }
        for (std::size_t kind = 0; kind < num_kinds_ && start > 0; ++kind)
        {
            auto *hops = hop_.data() + at(start, kind);
            if (num_states_ == 1)
            {
                // Most tables are such: one number that stays at hand.
                auto const *runs = run_.data() + at(start, 0);
                auto least = kInfinity;
                for (std::size_t next = 0; next < num_kinds_; ++next)
                    if (limits.may_hop(start, kind, next))
                        least = std::min(
                            least, costs.transfer(start, kind, next) + runs[next]);
                hops[0] = least;
                continue;
            }
            for (std::size_t next = 0; next < num_kinds_; ++next)
            {
                if (!limits.may_hop(start, kind, next))
                    continue;
                auto const transfer = costs.transfer(start, kind, next);
                auto const *runs = run_.data() + at(start, next);
                for (std::uint32_t state = 0; state < num_states_; ++state)
                {
                    auto const after = states.next(state, next);
                    if (after != UseStates::kNone)
                        hops[state] = std::min(hops[state], transfer + runs[after]);
                }
            }
        }
    }
    for (std::size_t kind = 0; kind < num_kinds_; ++kind)
    {
        auto const state = states.next(0, kind);
        if (limits.may_enter(kind) && state != UseStates::kNone)
            whole_ = std::min(whole_, costs.enter(kind) + run(0, kind, state));
    }
}

std::optional<Partition> CostToGo::plan(ChainCosts const &costs,
                                        StageLimits const &limits,
                                        UseStates const &states) const
{
    if (std::isinf(whole_))
        return std::nullopt;
    Partition plan{};
    auto const num_operators = costs.num_operators();
    std::size_t start = 0;
    std::size_t kind = 0;
    std::uint32_t state = 0;
    auto const move_on = [&](auto const &may, auto const &transfer)
    {
        auto least = kInfinity;
        auto const from = state;
        auto chosen = kind;
        for (std::size_t next = 0; next < num_kinds_; ++next)
        {
            auto const after = states.next(from, next);
            if (after == UseStates::kNone || !may(next))
                continue;
            auto const value = transfer(next) + run(start, next, after);
            if (value < least)
            {
                least = value;
                chosen = next;
                state = after;
            }
        }
        kind = chosen;
        plan.kinds.push_back(static_cast<std::int64_t>(kind));
    };
    move_on([&](std::size_t next) { return limits.may_enter(next); },
            [&](std::size_t next) { return costs.enter(next); });
    for (;;)
    {
        auto least = kInfinity;
        auto best = num_operators;
        auto sum = 0.0;
        // Of equals the farthest: fewer stages.
        for (auto stop = start + 1; stop <= limits.farthest(start, kind); ++stop)
        {
            sum += costs.step(stop - 1, kind);
            auto const value = sum + hop(stop, kind, state);
            if (value <= least)
            {
                least = value;
                best = stop;
            }
        }
        start = best;
        plan.stops.push_back(static_cast<std::int64_t>(start));
        if (start == num_operators)
            return plan;
        auto const from = kind;
        move_on([&](std::size_t next) { return limits.may_hop(start, from, next); },
                [&](std::size_t next) { return costs.transfer(start, from, next); });
    }
}
} // namespace carbonedge
