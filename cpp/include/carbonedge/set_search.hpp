#pragma once

#include "carbonedge/chain_costs.hpp"
#include "carbonedge/cost_to_go.hpp"
#include "carbonedge/deadline.hpp"
#include "carbonedge/partition.hpp"
#include "carbonedge/stage_limits.hpp"
#include "carbonedge/uses.hpp"
#include "carbonedge/viability.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace carbonedge
{
/// The least cost by which the nodes used so far reach each cut, for every combination
/// of them that may come before a plan of less than a ceiling. Where nodes have little
/// memory each combination reaches few cuts, which is what makes this possible:
/// O(S N^2) times those.
class SetSearch
{
public:
    enum class Outcome
    {
        finished,
        cut_short,
        too_large,
    };

    /// `every` tracks all resources that may run short; `states` those of the table.
    SetSearch(ChainCosts const &costs,
              StageLimits const &limits,
              UseStates const &every,
              CostToGo const &to_go,
              UseStates const &states);

    /// Looks for a plan that costs less than the ceiling.
    Outcome run(double ceiling, Deadline const &deadline);

    /// The cheapest there is, if any is that cheap.
    [[nodiscard]] std::optional<Partition> plan() const;

private:
    // Of one combination and the kind of its last node: costs of the cuts [first, end).
    struct Row
    {
        std::uint32_t first = 0;
        std::uint32_t end = 0;
        std::size_t at = 0;
    };

    struct End
    {
        double cost;
        std::uint32_t before; // state before the last stage
        std::uint32_t state;
        std::size_t kind;
    };

    [[nodiscard]] Row const &row(std::uint32_t state, std::size_t kind) const
    {
        return rows_[state * num_kinds_ + kind];
    }

    // At a cut that the row has.
    [[nodiscard]] double cost(Row const &row, std::size_t cut) const
    {
        return values_[row.at + cut - row.first];
    }

    void start(std::uint32_t before, std::size_t kind);
    void extend(std::uint32_t before, std::uint32_t state, std::size_t kind);
    void
    take(std::uint32_t before, std::uint32_t state, std::size_t kind, double value);

    ChainCosts const &costs_;
    StageLimits const &limits_;
    UseStates const &every_;
    CostToGo const &to_go_;
    std::size_t num_operators_;
    std::size_t num_kinds_;
    Viability viability_;
    std::vector<std::uint32_t> of_table_; // [S], the table's state
    double ceiling_ = 0.0;
    std::vector<Row> rows_; // [S, N]
    std::vector<double> values_;
    std::optional<End> best_;
    // While a row is made: of starts in [from_, to_).
    std::size_t from_ = 0;
    std::size_t to_ = 0;
    std::vector<double> starts_;       // [L]
    std::vector<double> up_to_middle_; // [L + 1]
};
} // namespace carbonedge
