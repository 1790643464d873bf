#include "carbonedge/node_table.hpp"

#include "carbonedge/units.hpp"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cmath>
#include <stdexcept>

namespace carbonedge
{
namespace
{
constexpr auto kSlotBits = 32;
constexpr auto kSlotMask = (Ticket{1} << kSlotBits) - 1;

double cpu_quanta(double cores)
{
    return std::nearbyint(cores * kCpuQuantaPerCore);
}
double memory_quanta(double mb)
{
    return std::nearbyint(mb * kMemoryQuantaPerMb);
}

// 0 is left out, so that no ticket is 0.
std::uint32_t next_stamp()
{
    static std::atomic<std::uint32_t> last{0};
    auto const stamp = last.fetch_add(1, std::memory_order_relaxed) + 1;
    return stamp != 0 ? stamp : next_stamp();
}
} // namespace

NodeTable::NodeTable(std::vector<Node> const &nodes, Policy const &policy)
    : policy_(policy), reserved_cpu_(nodes.size()), reserved_memory_(nodes.size()),
      open_cpu_(nodes.size()), free_memory_(nodes.size()), per_cpu_(nodes.size()),
      per_memory_(nodes.size()), merit_(nodes.size()), headroom_(nodes.size()),
      balance_(nodes.size()), latency_ms_(nodes.size()), emissions_g_(nodes.size())
{
    for (std::size_t field = 0; field < kNumFields; ++field)
    {
        fields_[field].reserve(nodes.size());
        for (auto const &node : nodes)
            fields_[field].push_back(node.values[field]);
    }
    for (std::size_t index = 0; index < nodes.size(); ++index)
        derive(index);
    blocks_ = Blocks(columns());
}

Node NodeTable::node(std::size_t index) const
{
    Node node;
    for (std::size_t field = 0; field < kNumFields; ++field)
        node.values[field] = fields_[field][index];
    return node;
}

double NodeTable::free_cpu(std::size_t index) const
{
    auto const cores = fields_[static_cast<std::size_t>(Field::cpu_cores)][index];
    auto const load = fields_[static_cast<std::size_t>(Field::load)][index];
    return cpu_quanta(cores * (1.0 - load)) - reserved_cpu_[index];
}

double NodeTable::free_cpu_cores(std::size_t index) const
{
    return free_cpu(index) / kCpuQuantaPerCore;
}

double NodeTable::free_memory_mb(std::size_t index) const
{
    return free_memory_[index] / kMemoryQuantaPerMb;
}

void NodeTable::derive(std::size_t index)
{
    auto const state = node(index);
    auto const barred =
        state[Field::load] > policy_.max_load
        || state[Field::network_latency_ms] > policy_.max_network_latency_ms;
    auto const memory = memory_quanta(state[Field::memory_mb]);

    open_cpu_[index] = barred ? -1.0 : free_cpu(index);
    free_memory_[index] = memory - reserved_memory_[index];
    per_cpu_[index] = 0.5 / std::max(1.0, cpu_quanta(state[Field::cpu_cores]));
    per_memory_[index] = 0.5 / std::max(1.0, memory);

    auto const components = paper_components(state);
    merit_[index] = weighted_sum(policy_.weights, components);
    headroom_[index] = components.load;
    balance_[index] = components.balance;
    latency_ms_[index] = predicted_latency_ms(state);
    emissions_g_[index] = predicted_emissions_g(state);
}

void NodeTable::refresh(std::size_t index)
{
    derive(index);
    blocks_.refresh(columns(), index);
}

Demand NodeTable::demand(Task const &task) const
{
    return {cpu_quanta(task.cpu_cores), memory_quanta(task.memory_mb), task.slo_ms};
}

Columns NodeTable::columns() const
{
    return {open_cpu_,
            free_memory_,
            per_cpu_,
            per_memory_,
            merit_,
            headroom_,
            balance_,
            latency_ms_,
            emissions_g_};
}

Placement NodeTable::placement(Choice const &choice) const
{
    auto const state = node(choice.index);
    auto const components = policy_.scoring == Scoring::normalized
                                ? choice.components
                                : paper_components(state);
    return {choice.index,
            choice.score,
            components,
            latency_ms_[choice.index],
            predicted_energy_j(state),
            emissions_g_[choice.index]};
}

std::optional<Placement> NodeTable::select(Task const &task)
{
    auto const choose = [&]() -> std::optional<Choice>
    {
        switch (policy_.scoring)
        {
        case Scoring::paper:
            return best_merit(columns(), blocks_, demand(task));
        case Scoring::constrained:
            return least_emissions(columns(), blocks_, demand(task));
        case Scoring::normalized:
            break;
        }
        return best_scaled(
            columns(), blocks_, demand(task), policy_.weights, workspace_);
    };
    auto const choice = choose();
    return choice ? std::optional{placement(*choice)} : std::nullopt;
}

std::vector<Refusal> NodeTable::refusals(Task const &task) const
{
    auto const needs = demand(task);
    auto const refusal = [&](std::size_t index)
    {
        auto const state = node(index);
        if (state[Field::load] > policy_.max_load)
            return Refusal::load;
        if (state[Field::network_latency_ms] > policy_.max_network_latency_ms)
            return Refusal::network_latency;
        if (free_cpu(index) < needs.cpu)
            return Refusal::cpu;
        if (free_memory_[index] < needs.memory)
            return Refusal::memory;
        if (policy_.scoring == Scoring::constrained
            && latency_ms_[index] > needs.slo_ms)
            return Refusal::slo;
        return Refusal::none;
    };

    std::vector<Refusal> result;
    result.reserve(size());
    for (std::size_t index = 0; index < size(); ++index)
        result.push_back(refusal(index));
    return result;
}

void NodeTable::hold(std::size_t index, Demand const &needs)
{
    reserved_cpu_[index] += needs.cpu;
    reserved_memory_[index] += needs.memory;
    fields_[static_cast<std::size_t>(Field::running_tasks)][index] += 1.0;
    refresh(index);
}

Ticket NodeTable::reserve(Task const &task, std::size_t index)
{
    assert(index < size());
    if (vacant_.empty())
    {
        vacant_.push_back(reservations_.size());
        reservations_.emplace_back();
    }
    auto const slot = vacant_.back();
    vacant_.pop_back();

    auto const needs = demand(task);
    auto &reservation = reservations_[slot];
    reservation = {next_stamp(), true, index, needs.cpu, needs.memory};

    hold(index, needs);
    return Ticket{reservation.stamp} << kSlotBits | slot;
}

void NodeTable::reserve_many(std::span<double const> cpu_cores,
                             std::span<double const> memory_mb,
                             std::span<std::int64_t> chosen)
{
    for (std::size_t i = 0; i < chosen.size(); ++i)
    {
        Task const task{cpu_cores[i], memory_mb[i]};
        auto const placed = select(task);
        chosen[i] = placed ? static_cast<std::int64_t>(placed->index) : -1;
        if (placed)
            hold(placed->index, demand(task));
    }
}

void NodeTable::complete(Ticket ticket, double elapsed_ms)
{
    auto const slot = ticket & kSlotMask;
    if (slot >= reservations_.size() || !reservations_[slot].open
        || reservations_[slot].stamp != ticket >> kSlotBits)
        throw std::invalid_argument(
            "this decision holds no reservation here: complete each decision "
            "once, on the scheduler that made it");
    auto &reservation = reservations_[slot];
    auto const index = reservation.index;
    reservation.open = false;
    vacant_.push_back(slot);

    reserved_cpu_[index] -= reservation.cpu;
    reserved_memory_[index] -= reservation.memory;
    fields_[static_cast<std::size_t>(Field::running_tasks)][index] -= 1.0;
    auto &average = fields_[static_cast<std::size_t>(Field::avg_time_ms)][index];
    average = average == 0.0 ? elapsed_ms
                             : average + policy_.smoothing * (elapsed_ms - average);
    refresh(index);
}

void NodeTable::set(std::size_t index, Field field, double value)
{
    assert(index < size());
    fields_[static_cast<std::size_t>(field)][index] = value;
    refresh(index);
}
} // namespace carbonedge
