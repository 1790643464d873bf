#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace carbonedge
{
/// One measure (ms, J or g) of running a chain of operators in stages, and of
/// moving boundary tensors between them. Row-major throughout.
class ChainCosts
{
public:
    /// operator_cost [L, N], stage_overhead [N], link_fixed and link_per_mb
    /// [N, N] (from, to), cut_mb [L + 1]. A pair without a link has an infinite
    /// link_fixed. O(L N).
    ChainCosts(std::span<double const> operator_cost,
               std::span<double const> stage_overhead,
               std::span<double const> link_fixed,
               std::span<double const> link_per_mb,
               std::span<double const> cut_mb);

    [[nodiscard]] std::size_t num_operators() const { return cut_mb_.size() - 1; }
    [[nodiscard]] std::size_t num_nodes() const { return stage_overhead_.size(); }

    /// Running operators [start, stop) on a node, its overhead in.
    [[nodiscard]] double
    stage(std::size_t start, std::size_t stop, std::size_t node) const
    {
        auto const *sums = upto(node);
        return sums[stop] - sums[start] + stage_overhead_[node];
    }

    /// Moving what crosses a cut from one node to another.
    [[nodiscard]] double
    transfer(std::size_t cut, std::size_t from, std::size_t to) const
    {
        auto const link = from * num_nodes() + to;
        return link_fixed_[link] + link_per_mb_[link] * cut_mb_[cut];
    }

    /// The cost of operators [0, p) on a node, for p = 0..L, without overhead.
    [[nodiscard]] double const *upto(std::size_t node) const
    {
        return upto_.data() + node * cut_mb_.size();
    }

    [[nodiscard]] double overhead(std::size_t node) const
    {
        return stage_overhead_[node];
    }

    /// This measure plus `factor` times another of the same chain.
    [[nodiscard]] ChainCosts plus(ChainCosts const &other, double factor) const;

private:
    std::vector<double> upto_;
    std::vector<double> stage_overhead_;
    std::vector<double> link_fixed_;
    std::vector<double> link_per_mb_;
    std::vector<double> cut_mb_;
};
} // namespace carbonedge
