#pragma once

#include "carbonedge/units.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace carbonedge
{
/// What differs by less is the same sum taken in another order.
inline constexpr auto kTie = 1.0 + 1e-12;

/// The best found so far: the cheapest, or all that none betters in both latency and
/// cost, by rising latency and so by falling cost.
class Archive
{
public:
    struct Point
    {
        double latency;
        double cost;
        std::uint32_t id;
    };

    explicit Archive(bool whole_front) : whole_front_(whole_front) {}

    [[nodiscard]] std::vector<Point> const &points() const { return points_; }

    /// What a plan must cost less than to be the cheapest.
    [[nodiscard]] double least_cost() const
    {
        return points_.empty() ? ceiling_ : std::min(ceiling_, points_.back().cost);
    }

    /// Empties it, to take up only what costs less than a ceiling.
    void clear(double ceiling = kInfinity)
    {
        points_.clear();
        ceiling_ = ceiling;
    }

    /// Takes a point up, and those out that it betters. False if it betters nothing.
    bool insert(Point const &point)
    {
        if (!whole_front_)
        {
            if (point.cost * kTie >= least_cost())
                return false;
            points_.assign(1, point);
            return true;
        }
        auto const after = std::upper_bound(points_.begin(),
                                            points_.end(),
                                            point.latency * kTie,
                                            [](double value, Point const &other)
                                            { return value < other.latency; });
        if (after != points_.begin() && std::prev(after)->cost <= point.cost * kTie)
            return false;
        auto const first = std::lower_bound(points_.begin(),
                                            points_.end(),
                                            point.latency,
                                            [](Point const &other, double value)
                                            { return other.latency * kTie < value; });
        auto const last = std::find_if(first,
                                       points_.end(),
                                       [&](Point const &other)
                                       { return other.cost * kTie < point.cost; });
        points_.insert(points_.erase(first, last), point);
        return true;
    }

    /// Whether there is room for a plan of at least this latency and cost, at most
    /// `latest`. The front is a staircase, and a plan that betters it lies inside one
    /// of its corners: `inside(cost_below, latency_below)` tells of one more than
    /// that it is within reach.
    template <typename Inside>
    [[nodiscard]] bool
    has_room(double latency, double cost, double latest, Inside const &inside) const
    {
        if (!whole_front_)
            return latency <= latest && cost < least_cost()
                   && inside(least_cost(), latest);
        auto next = std::upper_bound(points_.begin(),
                                     points_.end(),
                                     latency,
                                     [](double value, Point const &point)
                                     { return value < point.latency; });
        for (;; ++next)
        {
            auto const cost_below =
                next == points_.begin() ? kInfinity : std::prev(next)->cost;
            if (cost * kTie >= cost_below)
                return false;
            auto const latency_below = next == points_.end() ? latest : next->latency;
            if (latency * kTie < latency_below && inside(cost_below, latency_below))
                return true;
            if (next == points_.end())
                return false;
        }
    }

private:
    bool whole_front_;
    double ceiling_ = kInfinity;
    std::vector<Point> points_;
};
} // namespace carbonedge
