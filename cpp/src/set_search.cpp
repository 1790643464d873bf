#include "carbonedge/set_search.hpp"

#include "carbonedge/units.hpp"

#include <algorithm>
#include <tuple>

namespace carbonedge
{
namespace
{
constexpr std::size_t kMostValues = 1u << 25; // of 8 bytes
constexpr std::uint32_t kStatesBetweenLooks = 64;
} // namespace

SetSearch::SetSearch(ChainCosts const &costs,
                     StageLimits const &limits,
                     UseStates const &every,
                     CostToGo const &to_go,
                     UseStates const &states)
    : costs_(costs), limits_(limits), every_(every), to_go_(to_go),
      num_operators_(costs.num_operators()), num_kinds_(costs.num_kinds()),
      viability_(limits, every, num_operators_, num_kinds_),
      of_table_(every.size(), UseStates::kNone), starts_(num_operators_),
      up_to_middle_(num_operators_ + 1)
{
    of_table_[0] = 0;
    for (std::uint32_t state = 0; state < every.size(); ++state)
        for (std::size_t kind = 0; kind < num_kinds_; ++kind)
        {
            auto const after = every.next(state, kind);
            if (after != UseStates::kNone && of_table_[state] != UseStates::kNone)
                of_table_[after] = states.next(of_table_[state], kind);
        }
}

SetSearch::Outcome SetSearch::run(double ceiling, Deadline const &deadline)
{
    ceiling_ = ceiling;
    rows_.assign(every_.size() * num_kinds_, {});
    values_.clear();
    best_.reset();
    // A combination comes after those that it is made of.
    for (std::uint32_t before = 0; before < every_.size(); ++before)
    {
        if (before % kStatesBetweenLooks == 0 && deadline.passed())
            return Outcome::cut_short;
        if (values_.size() > kMostValues)
            return Outcome::too_large;
        for (std::size_t kind = 0; kind < num_kinds_; ++kind)
        {
            auto const state = every_.next(before, kind);
            if (state == UseStates::kNone)
                continue;
            start(before, kind);
            if (from_ < to_)
                extend(before, state, kind);
        }
    }
    return Outcome::finished;
}

// What it costs to hop to a node of this kind from any that may be the last before.
void SetSearch::start(std::uint32_t before, std::size_t kind)
{
    if (before == 0)
    {
        from_ = 0;
        to_ = limits_.may_enter(kind) ? 1 : 0;
        starts_[0] = costs_.enter(kind);
        return;
    }
    from_ = num_operators_;
    to_ = 0;
    for (std::size_t last = 0; last < num_kinds_; ++last)
    {
        auto const &reached = row(before, last);
        if (reached.first == reached.end)
            continue;
        from_ = std::min<std::size_t>(from_, reached.first);
        to_ = std::max<std::size_t>(to_, reached.end);
    }
    if (from_ >= to_)
        return;
    std::fill(starts_.begin() + static_cast<std::ptrdiff_t>(from_),
              starts_.begin() + static_cast<std::ptrdiff_t>(to_),
              kInfinity);
    for (std::size_t last = 0; last < num_kinds_; ++last)
    {
        auto const &reached = row(before, last);
        for (std::size_t cut = reached.first; cut < reached.end; ++cut)
            if (limits_.may_hop(cut, last, kind))
                starts_[cut] =
                    std::min(starts_[cut],
                             cost(reached, cut) + costs_.transfer(cut, last, kind));
    }
}

// Of each stop the cheapest start. The window of starts is held in two parts, and
// nothing is subtracted; see FallingWindow in cost_to_go.cpp.
void SetSearch::extend(std::uint32_t before, std::uint32_t state, std::size_t kind)
{
    auto &result = rows_[state * num_kinds_ + kind];
    result = {0, 0, values_.size()};
    auto const viable = viability_.first_cut(state);
    auto const overhead = costs_.overhead(kind);
    auto first = from_;
    auto middle = from_;
    auto near = kInfinity;
    auto from_middle = 0.0;
    for (auto stop = from_ + 1; stop <= num_operators_; ++stop)
    {
        auto const step = costs_.step(stop - 1, kind);
        auto const start = stop - 1 < to_ ? starts_[stop - 1] : kInfinity;
        near = std::min(near, start) + step;
        from_middle += step;
        while (first < stop && limits_.farthest(first, kind) < stop)
            ++first;
        if (first >= to_ && first >= stop)
            break;
        if (first > middle)
        {
            middle = stop;
            near = kInfinity;
            from_middle = 0.0;
            auto sum = 0.0;
            up_to_middle_[stop] = kInfinity;
            for (auto i = stop; i-- > first;)
            {
                sum += costs_.step(i, kind);
                up_to_middle_[i] = std::min(up_to_middle_[i + 1],
                                            (i < to_ ? starts_[i] : kInfinity) + sum);
            }
        }
        auto value = near;
        if (first < middle)
            value = std::min(value, up_to_middle_[first] + from_middle);
        value += overhead;
        if (stop == num_operators_)
        {
            if (limits_.may_leave(kind))
                take(before, state, kind, value + costs_.leave(kind));
            break;
        }
        if (stop < viable)
            continue;
        auto const open = value + to_go_.hop(stop, kind, of_table_[state]) < ceiling_;
        if (!open && result.first == result.end)
            continue;
        if (result.first == result.end)
            result.first = static_cast<std::uint32_t>(stop);
        values_.push_back(open ? value : kInfinity);
        if (open)
            result.end = static_cast<std::uint32_t>(stop) + 1;
    }
    values_.resize(result.at + result.end - result.first);
}

void SetSearch::take(std::uint32_t before,
                     std::uint32_t state,
                     std::size_t kind,
                     double value)
{
    if (value < ceiling_)
    {
        ceiling_ = value;
        best_ = {value, before, state, kind};
    }
}

std::optional<Partition> SetSearch::plan() const
{
    if (!best_)
        return std::nullopt;
    Partition plan{};
    auto [_, before, state, kind] = *best_;
    auto stop = num_operators_;
    for (;;)
    {
        plan.stops.push_back(static_cast<std::int64_t>(stop));
        plan.kinds.push_back(static_cast<std::int64_t>(kind));
        if (before == 0)
            break;
        auto least = kInfinity;
        auto sum = 0.0;
        auto chosen = std::pair{stop, kind};
        for (auto start = stop; start-- > 0 && limits_.farthest(start, kind) >= stop;)
        {
            sum += costs_.step(start, kind);
            for (std::size_t last = 0; last < num_kinds_; ++last)
            {
                auto const &reached = row(before, last);
                if (start < reached.first || start >= reached.end
                    || !limits_.may_hop(start, last, kind))
                    continue;
                auto const value =
                    cost(reached, start) + costs_.transfer(start, last, kind) + sum;
                if (value < least)
                {
                    least = value;
                    chosen = {start, last};
                }
            }
        }
        std::tie(stop, kind) = chosen;
        state = before;
        while (every_.next(before, kind) != state)
            --before;
    }
    std::reverse(plan.stops.begin(), plan.stops.end());
    std::reverse(plan.kinds.begin(), plan.kinds.end());
    return plan;
}
} // namespace carbonedge
