#pragma once

#include "carbonedge/node.hpp"
#include "carbonedge/scoring.hpp"
#include "carbonedge/selection.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace carbonedge
{
/// Where a task goes and what that is predicted to cost.
struct Placement
{
    std::size_t index;
    double score;
    Components components; ///< scaled under `normalized`, else as in the paper
    double latency_ms;
    double energy_j;
    double emissions_g;
};

/// Names a reservation until it is completed: its slot in the low half, in the high
/// half a stamp that no other reservation of this process has, of whatever table,
/// until 2^32 more were made. Never 0.
using Ticket = std::uint64_t;

/// Why a node cannot take a task.
enum class Refusal
{
    none,
    load,            ///< above max_load
    network_latency, ///< above max_network_latency_ms
    cpu,             ///< too little free
    memory,          ///< too little free
    slo,             ///< predicted latency above slo_ms (`constrained` only)
};

/// The state of all nodes, kept by column, with what a decision derives from
/// it kept beside it and brought up to date when a node changes, in O(kBlockSize).
/// Values are checked where they enter, in Python. Not safe for use from several
/// threads.
class NodeTable
{
public:
    NodeTable(std::vector<Node> const &nodes, Policy const &policy);

    [[nodiscard]] std::size_t size() const { return open_cpu_.size(); }

    [[nodiscard]] Node node(std::size_t index) const;

    /// The best node for the task, or nothing when none can take it. Costs are
    /// those of the scans in selection.hpp.
    [[nodiscard]] std::optional<Placement> select(Task const &task);

    /// Why each node would refuse the task.
    [[nodiscard]] std::vector<Refusal> refusals(Task const &task) const;

    /// Takes the task's CPU, memory and a running-task slot on a node.
    Ticket reserve(Task const &task, std::size_t index);

    /// Selects and reserves for each task in turn, each seeing those before it;
    /// writes the chosen indices to `chosen`, -1 where no node fits. These
    /// reservations last as long as the table.
    void reserve_many(std::span<double const> cpu_cores,
                      std::span<double const> memory_mb,
                      std::span<std::int64_t> chosen);

    /// Gives back what was reserved and moves the node's avg_time_ms towards
    /// elapsed_ms; a node without history takes elapsed_ms as it is.
    /// Throws std::invalid_argument, and changes nothing, for a ticket that is
    /// unknown or was completed before.
    void complete(Ticket ticket, double elapsed_ms);

    /// Sets one value of one node.
    void set(std::size_t index, Field field, double value);

    /// Free CPU (cores) and memory (MB) of a node, reservations taken off.
    [[nodiscard]] double free_cpu_cores(std::size_t index) const;
    [[nodiscard]] double free_memory_mb(std::size_t index) const;

private:
    struct Reservation
    {
        std::uint32_t stamp;
        bool open;
        std::size_t index;
        double cpu;
        double memory;
    };

    [[nodiscard]] double free_cpu(std::size_t index) const;
    [[nodiscard]] Demand demand(Task const &task) const;
    [[nodiscard]] Columns columns() const;
    [[nodiscard]] Placement placement(Choice const &choice) const;
    void hold(std::size_t index, Demand const &needs);
    void derive(std::size_t index);
    void refresh(std::size_t index);

    Policy policy_;
    std::array<std::vector<double>, kNumFields> fields_;
    std::vector<double> reserved_cpu_;
    std::vector<double> reserved_memory_;

    std::vector<double> open_cpu_;
    std::vector<double> free_memory_;
    std::vector<double> per_cpu_;
    std::vector<double> per_memory_;
    std::vector<double> merit_;
    std::vector<double> headroom_;
    std::vector<double> balance_;
    std::vector<double> latency_ms_;
    std::vector<double> emissions_g_;
    Blocks blocks_;

    std::vector<Reservation> reservations_;
    std::vector<std::size_t> vacant_;
    Workspace workspace_;
};
} // namespace carbonedge
