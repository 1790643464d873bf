#pragma once

#include <cstddef>
#include <limits>
#include <span>
#include <vector>

namespace carbonedge
{
/// One measure (ms, J or g) of running a chain of operators in stages on nodes of
/// N kinds, and of moving boundary tensors between them. Row-major throughout.
class ChainCosts
{
public:
    /// operator_cost [L, N], stage_overhead [N], link_fixed and link_per_mb
    /// [N, N] (from, to; the diagonal between two nodes of a kind), cut_mb
    /// [L + 1]. A pair without a link has an infinite link_fixed. `source` is
    /// where inputs come from and outputs go, or N or more for none. O(L N).
    ChainCosts(std::span<double const> operator_cost,
               std::span<double const> stage_overhead,
               std::span<double const> link_fixed,
               std::span<double const> link_per_mb,
               std::span<double const> cut_mb,
               std::size_t source);

    [[nodiscard]] std::size_t num_operators() const { return cut_mb_.size() - 1; }
    [[nodiscard]] std::size_t num_kinds() const { return stage_overhead_.size(); }

    /// Running operators [start, stop) on a node, its overhead in. O(stop - start):
    /// what a sum up to a stop lacks up to a start would lose what is small beside
    /// what stands before both.
    [[nodiscard]] double
    stage(std::size_t start, std::size_t stop, std::size_t node) const
    {
        auto sum = 0.0;
        for (auto cut = start; cut < stop; ++cut)
            sum += step(cut, node);
        return sum + stage_overhead_[node];
    }

    /// Running the operator behind a cut on a node.
    [[nodiscard]] double step(std::size_t cut, std::size_t node) const
    {
        return steps(node)[cut];
    }

    /// The same of every cut, p = 0..L - 1.
    [[nodiscard]] double const *steps(std::size_t node) const
    {
        return step_.data() + node * num_operators();
    }

    /// Running all operators behind a cut on a node, without overhead.
    [[nodiscard]] double rest(std::size_t cut, std::size_t node) const
    {
        return rest_[node * cut_mb_.size() + cut];
    }

    /// Moving what crosses a cut from one node to another.
    [[nodiscard]] double
    transfer(std::size_t cut, std::size_t from, std::size_t to) const
    {
        auto const link = from * num_kinds() + to;
        return link_fixed_[link] + link_per_mb_[link] * cut_mb_[cut];
    }

    /// Bringing the inputs to a node.
    [[nodiscard]] double enter(std::size_t node) const
    {
        return source_ >= num_kinds() || node == source_ ? 0.0
                                                         : transfer(0, source_, node);
    }

    /// Returning the outputs from a node.
    [[nodiscard]] double leave(std::size_t node) const
    {
        return source_ >= num_kinds() || node == source_
                   ? 0.0
                   : transfer(num_operators(), node, source_);
    }

    [[nodiscard]] double overhead(std::size_t node) const
    {
        return stage_overhead_[node];
    }

    /// This measure plus `factor` > 0 times another of the same chain.
    [[nodiscard]] ChainCosts plus(ChainCosts const &other, double factor) const;

    /// This measure times a factor above zero.
    [[nodiscard]] ChainCosts times(double factor) const;

private:
    std::vector<double> step_; // [N, L]
    std::vector<double> rest_; // [N, L + 1]
    std::vector<double> stage_overhead_;
    std::vector<double> link_fixed_;
    std::vector<double> link_per_mb_;
    std::vector<double> cut_mb_;
    std::size_t source_;
};
} // namespace carbonedge
