#pragma once

#include "carbonedge/chain_costs.hpp"
#include "carbonedge/deadline.hpp"
#include "carbonedge/partition.hpp"
#include "carbonedge/stage_limits.hpp"
#include "carbonedge/uses.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace carbonedge
{
/// The least cost still to come when only the tracked resources run short, which no
/// plan beats. With S states of those, takes O(L N^2 S).
class CostToGo
{
public:
    /// Where a deadline is given and passes, the table is not finished, and of no use.
    CostToGo(ChainCosts const &costs,
             StageLimits const &limits,
             UseStates const &states,
             Deadline const *deadline = nullptr);

    [[nodiscard]] bool finished() const { return finished_; }

    /// Of a stage that starts at a cut on a node, and all after it; infinite where
    /// there is no way on. The state has the stage in.
    [[nodiscard]] double
    run(std::size_t cut, std::size_t kind, std::uint32_t state) const
    {
        return run_[(cut * num_kinds_ + kind) * num_states_ + state];
    }

    /// Of leaving a node at a cut: the hop, and all after it; at the last cut, of
    /// returning the outputs.
    [[nodiscard]] double
    hop(std::size_t cut, std::size_t kind, std::uint32_t state) const
    {
        return hop_[(cut * num_kinds_ + kind) * num_states_ + state];
    }

    /// Of a whole plan.
    [[nodiscard]] double whole() const { return whole_; }

    /// The stops and kinds of a plan that costs that much, none where it is infinite;
    /// of equals the one with the later stops. To be given what the table was made of.
    [[nodiscard]] std::optional<Partition> plan(ChainCosts const &costs,
                                                StageLimits const &limits,
                                                UseStates const &states) const;

private:
    std::size_t num_kinds_;
    std::size_t num_states_;
    std::vector<double> run_; // [L, N, S]
    std::vector<double> hop_; // [L + 1, N, S]
    double whole_;
    bool finished_ = true;
};
} // namespace carbonedge
