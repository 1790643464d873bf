#pragma once

#include "carbonedge/scoring.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace carbonedge
{
/// What the scans read, one entry a node, all of one length. Free capacity and
/// demand are in quanta (units.hpp).
struct Columns
{
    std::span<double const> open_cpu; ///< free CPU; -1 where load or latency bars
    std::span<double const> free_memory;
    std::span<double const> per_cpu;    ///< 0.5 / CPU capacity, at least one
    std::span<double const> per_memory; ///< 0.5 / memory capacity, at least one
    std::span<double const> merit;      ///< weighted sum of paper components
    std::span<double const> headroom;   ///< 1 - load
    std::span<double const> balance;    ///< 1 / (1 + 2 running_tasks)
    std::span<double const> latency_ms;
    std::span<double const> emissions_g;

    [[nodiscard]] std::size_t size() const { return open_cpu.size(); }
};

/// The extremes of a column over the open nodes of each block: infinite, the
/// wrong way round, where none is open.
struct Extremes
{
    std::vector<double> low;
    std::vector<double> high;
};

/// Nodes are summarised this many at a time. Small blocks have tight extremes.
inline constexpr std::size_t kBlockSize = 16;

/// A summary of each block of nodes, so that scans can pass over blocks in which
/// no node can win.
class Blocks
{
public:
    Blocks() = default;
    explicit Blocks(Columns const &columns);

    [[nodiscard]] std::size_t size() const { return open_cpu.low.size(); }

    /// Brings the block that holds a node up to date. O(kBlockSize).
    void refresh(Columns const &columns, std::size_t index);

    /// Brings share_left and peaks to a task's needs, in quanta. O(nodes) when they
    /// differ from the last task's, else O(1).
    void prepare(Columns const &columns, double cpu, double memory);

    /// Takes the peaks with other gains. O(nodes).
    void lean(Columns const &columns, Weights const &gains);

    Extremes open_cpu;
    Extremes free_memory;
    Extremes merit;
    Extremes headroom;
    Extremes balance;
    Extremes latency_ms;
    Extremes emissions_g;
    /// Mean share of CPU and memory that the last task would leave free, over the
    /// nodes that it passes.
    Extremes share_left;

    /// By how much each component, unscaled, counts in the peaks, and the highest such
    /// sum of a node of each block that the last task passes. Under gains like these
    /// a peak bounds the scores of its block far closer than its extremes do, which
    /// hardly ever meet in one node.
    Weights leaning{};
    std::vector<double> peaks;

private:
    void summarise(Columns const &columns, std::size_t block);
    void summarise_task(Columns const &columns, std::size_t block);

    // What share_left and peaks are for. No task needs this little, so the first is
    // prepared.
    double cpu_ = -1.0;
    double memory_ = -1.0;
};
} // namespace carbonedge
