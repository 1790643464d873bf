#pragma once

#include "carbonedge/block.hpp"
#include "carbonedge/fair_mutex.hpp"
#include "carbonedge/forest.hpp"
#include "carbonedge/node.hpp"
#include "carbonedge/reservations.hpp"
#include "carbonedge/scan.hpp"
#include "carbonedge/scoring.hpp"

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
    Ticket ticket; ///< 0 where nothing was reserved
};

/// Why a node cannot take a task.
enum class Refusal
{
    none,
    load,            ///< above max_load
    network_latency, ///< above max_network_latency_ms
    cpu,             ///< too little free
    memory,          ///< too little free
    slo,             ///< predicted latency above slo_ms (`constrained` only)
    removed,         ///< no longer there
    score,           ///< not above 0 (`paper` only)
};

/// What a decision makes of one node. Score and components are 0 where it refuses.
struct Explanation
{
    Refusal refusal;
    double score;
    Components components;
    double latency_ms;
    double energy_j;
    double emissions_g;
};

/// All that a table knows, at one moment.
struct Snapshot
{
    std::vector<Node> nodes;
    /// First, under ticket 0, what is reserved for the table's life, by node.
    std::vector<Reservation> reservations;
};

/// One number per node, by field; all of one length.
using Columns = std::array<std::span<double const>, kNumFields>;

/// A number of each node, removed ones too.
struct Column
{
    Field field;
    std::span<double const> values;
};

/// The state of all nodes, with what decisions derive from it kept up to date.
/// Decisions cost what search.hpp says, changes to a node O(log nodes). Values are
/// checked where they enter, in Python. Safe for use from several threads: each
/// function sees and leaves a whole state.
class NodeTable
{
public:
    explicit NodeTable(Policy const &policy) : policy_(policy) {}
    NodeTable(std::vector<Node> const &nodes, Policy const &policy);
    NodeTable(Columns const &columns, Policy const &policy);

    /// Of all indices given out, removed nodes too.
    [[nodiscard]] std::size_t size() const;

    /// Whether there is such a node, not removed.
    [[nodiscard]] bool has(std::size_t index) const;

    /// The state of a node; of a removed one, the last.
    [[nodiscard]] Node node(std::size_t index) const;

    /// The best node for the task, or nothing when none can take it.
    [[nodiscard]] std::optional<Placement> select(Task const &task);

    /// The same by a look at every node, which for one decision costs less.
    [[nodiscard]] std::optional<Placement> scan(Task const &task) const;

    /// Selects, and takes the task's CPU, memory and a running-task slot there.
    std::optional<Placement> place(Task const &task);

    /// Places task after task, each seeing those before it; writes indices to
    /// `chosen`, -1 where no node fits, and to `tickets`, unless that is empty. Without
    /// tickets these reservations last as long as the table. Other threads may come
    /// between tasks.
    void place_many(std::span<double const> cpu_cores,
                    std::span<double const> memory_mb,
                    std::span<std::int64_t> chosen,
                    std::span<Ticket> tickets);

    /// Takes a task's CPU, memory and a running-task slot on a node where something
    /// else has placed it, room or not. Throws std::out_of_range where there is none.
    Ticket reserve(std::size_t index, Task const &task);

    /// Gives back what was reserved and moves the node's avg_time_ms towards
    /// elapsed_ms, where that is given; a node without history takes elapsed_ms as it
    /// is. Where the node was removed meanwhile, that is all. Throws
    /// std::invalid_argument, and changes nothing, for a ticket that is unknown or was
    /// completed before.
    void complete(Ticket ticket, std::optional<double> elapsed_ms);

    /// Sets one value of one node. Throws std::out_of_range where there is none.
    void set(std::size_t index, Field field, double value);

    /// Sets some values of all nodes, a column a field, in one pass; removed nodes keep
    /// theirs. Throws std::invalid_argument, and changes nothing, where a column is not
    /// as long as the table.
    void set_all(std::vector<Column> const &columns);

    /// Takes up a node; its index is one above the last, whatever was removed.
    std::size_t add(Node const &node);

    /// Removes a node. Its tasks may still be completed. Throws std::out_of_range where
    /// there is none.
    void remove(std::size_t index);

    /// Why a node refuses the task.
    [[nodiscard]] Refusal refusal(std::size_t index, Task const &task) const;

    /// What a decision for the task makes of each node.
    [[nodiscard]] std::vector<Explanation> explain(Task const &task) const;

    /// Free CPU (cores) and memory (MB) of a node, reservations taken off.
    [[nodiscard]] double free_cpu_cores(std::size_t index) const;
    [[nodiscard]] double free_memory_mb(std::size_t index) const;

    [[nodiscard]] Snapshot snapshot() const;

    /// Puts back the reservations of a snapshot, into a table of its nodes without any.
    void restore(std::vector<Reservation> const &reservations);

private:
    struct State
    {
        Node node; // parallelism 0 once it is removed
        double reserved_cpu = 0.0;
        double reserved_memory = 0.0;
    };

    [[nodiscard]] double free_cpu(State const &state) const;
    [[nodiscard]] Refusal refusal_unlocked(std::size_t index, Task const &task) const;
    [[nodiscard]] Placement placement(Choice const &choice,
                                      Outlook const &outlook) const;
    // These leave in `outlook` what scores were made under, where they were scaled.
    [[nodiscard]] std::optional<Choice>
    by_scan(Demand const &demand, double slo_ms, Outlook &outlook) const;
    std::optional<Choice>
    by_search(Demand const &demand, double slo_ms, Outlook &outlook);
    void check(std::size_t index) const;
    void append(Node const &node);
    void hold(std::size_t index, Demand const &demand);
    void derive(std::size_t index);
    void derive_queue(std::size_t index);
    void refresh(std::size_t index);

    Policy policy_;
    std::vector<State> states_;
    std::vector<Block> blocks_;
    Forest forest_;
    Reservations reservations_;
    mutable FairMutex mutex_;
};
} // namespace carbonedge
