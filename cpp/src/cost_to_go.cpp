#include "carbonedge/cost_to_go.hpp"

#include "carbonedge/units.hpp"

#include <algorithm>

namespace carbonedge
{
namespace
{
// Per state, the least of what follows a stop, over the stops in (start, last] for
// starts that fall one by one and lasts that never rise. What a nearer stop matches
// will never be the least again, and goes.
class FallingWindow
{
public:
    FallingWindow(std::size_t num_stops, std::size_t num_states)
        : num_stops_(num_stops), stops_(num_stops * num_states),
          values_(num_stops * num_states), first_(num_states), last_(num_states)
    {
    }

    void add(std::size_t state, std::size_t stop, double value)
    {
        auto &last = last_[state];
        auto const base = state * num_stops_;
        while (last > first_[state] && values_[base + last - 1] >= value)
            --last;
        stops_[base + last] = static_cast<std::uint32_t>(stop);
        values_[base + last++] = value;
    }

    [[nodiscard]] double least(std::size_t state, std::size_t farthest)
    {
        auto &first = first_[state];
        auto const base = state * num_stops_;
        while (first < last_[state] && stops_[base + first] > farthest)
            ++first;
        return first < last_[state] ? values_[base + first] : kInfinity;
    }

private:
    std::size_t num_stops_;
    std::vector<std::uint32_t> stops_;
    std::vector<double> values_;
    std::vector<std::size_t> first_;
    std::vector<std::size_t> last_;
};
} // namespace

CostToGo::CostToGo(ChainCosts const &costs,
                   StageLimits const &limits,
                   UseStates const &states)
    : num_kinds_(costs.num_kinds()), num_states_(states.size()),
      run_(costs.num_operators() * num_kinds_ * num_states_, kInfinity),
      hop_((costs.num_operators() + 1) * num_kinds_ * num_states_, kInfinity),
      whole_(kInfinity)
{
    auto const num_operators = costs.num_operators();
    auto const at = [&](std::size_t cut, std::size_t kind)
    { return (cut * num_kinds_ + kind) * num_states_; };

    // A window where memory or time bounds a stage, else one number will do.
    std::vector<FallingWindow> windows;
    std::vector<double> least(num_kinds_ * num_states_, kInfinity);
    for (std::size_t kind = 0; kind < num_kinds_; ++kind)
    {
        auto const bounded = limits.farthest(0, kind) < num_operators;
        windows.emplace_back(bounded ? num_operators : 0, bounded ? num_states_ : 0);
        if (limits.may_leave(kind))
            std::fill_n(hop_.begin()
                            + static_cast<std::ptrdiff_t>(at(num_operators, kind)),
                        num_states_,
                        costs.leave(kind));
    }

    for (auto start = num_operators; start-- > 0;)
    {
        for (std::size_t kind = 0; kind < num_kinds_; ++kind)
        {
            auto const *upto = costs.upto(kind);
            auto const *hops = hop_.data() + at(start + 1, kind);
            auto *runs = run_.data() + at(start, kind);
            // With the node's own operators up to a stop in, what follows it differs
            // by one number from any start.
            auto const before = upto[start + 1];
            auto const back = costs.overhead(kind) - upto[start];
            auto &window = windows[kind];
            if (limits.farthest(0, kind) < num_operators)
                for (std::size_t state = 0; state < num_states_; ++state)
                {
                    window.add(state, start + 1, hops[state] + before);
                    runs[state] =
                        window.least(state, limits.farthest(start, kind)) + back;
                }
            else
            {
                auto *leasts = least.data() + kind * num_states_;
                for (std::size_t state = 0; state < num_states_; ++state)
                {
                    leasts[state] = std::min(leasts[state], hops[state] + before);
                    runs[state] = leasts[state] + back;
                }
            }
        }
        for (std::size_t kind = 0; kind < num_kinds_ && start > 0; ++kind)
        {
            auto *hops = hop_.data() + at(start, kind);
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

Partition CostToGo::plan(ChainCosts const &costs,
                         StageLimits const &limits,
                         UseStates const &states) const
{
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
        // Of equals the farthest: fewer stages.
        for (auto stop = limits.farthest(start, kind); stop > start; --stop)
        {
            auto const value = costs.stage(start, stop, kind) + hop(stop, kind, state);
            if (value < least)
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
