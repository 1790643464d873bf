#pragma once

#include "random_chain.hpp"

#include "carbonedge/partition.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

/// What a plan comes to, added up operator by operator.
struct Totals
{
    double latency = 0.0, energy = 0.0, emissions = 0.0, slowest = 0.0;
    std::size_t stages = 0;

    [[nodiscard]] Totals with(double ms, double j, double g) const
    {
        return {latency + ms, energy + j, emissions + g, std::max(slowest, ms), stages};
    }

    [[nodiscard]] double at(carbonedge::Prices const &prices) const
    {
        return prices.per_ms * latency + prices.per_j * energy
               + prices.per_g * emissions;
    }

    [[nodiscard]] bool within(carbonedge::Limits const &limits) const
    {
        return latency <= limits.slo_ms && stages <= limits.max_stages
               && slowest <= limits.max_part_ms;
    }
};

/// Calls `visit` with every plan, found by trying each next stage on each node left.
class EveryPlan
{
public:
    EveryPlan(RandomChain const &problem, std::function<void(Totals const &)> visit)
        : p_(problem), visit_(std::move(visit)), left_(problem.count)
    {
        for (std::size_t kind = 0; kind < p_.N; ++kind)
            if (p_.source >= p_.N || kind == p_.source)
                start(0, kind, {});
            else if (linked(p_.source, kind))
                start(0, kind, moved({}, 0, p_.source, kind));
    }

private:
    [[nodiscard]] bool linked(std::size_t from, std::size_t to) const
    {
        return std::isfinite(p_.link_ms[from * p_.N + to]);
    }

    [[nodiscard]] Totals
    moved(Totals const &so_far, std::size_t cut, std::size_t from, std::size_t to) const
    {
        auto const link = from * p_.N + to;
        auto const j = p_.link_j[link] * p_.cut[cut];
        return so_far.with(p_.link_ms[link] + p_.cut[cut], j, j * p_.link_per_j[link]);
    }

    void start(std::size_t cut, std::size_t kind, Totals so_far)
    {
        if (left_[kind] == 0)
            return;
        --left_[kind];
        ++so_far.stages;
        auto ms = p_.overhead_ms[kind];
        auto j = p_.overhead_j[kind];
        auto memory = 0.0;
        for (auto stop = cut + 1; stop <= p_.L; ++stop)
        {
            ms += p_.time[(stop - 1) * p_.N + kind];
            j += p_.energy[(stop - 1) * p_.N + kind];
            memory += p_.memory[stop - 1];
            if (memory > p_.capacity[kind])
                break;
            auto const here =
                so_far.with(ms, j, j * p_.per_j[kind] + ms * p_.per_ms[kind]);
            if (stop < p_.L)
            {
                for (std::size_t next = 0; next < p_.N; ++next)
                    if (linked(kind, next))
                        start(stop, next, moved(here, stop, kind, next));
            }
            else if (p_.source >= p_.N || kind == p_.source)
                visit_(here);
            else if (linked(kind, p_.source))
                visit_(moved(here, stop, kind, p_.source));
        }
        ++left_[kind];
    }

    RandomChain const &p_;
    std::function<void(Totals const &)> visit_;
    std::vector<std::int64_t> left_;
};
