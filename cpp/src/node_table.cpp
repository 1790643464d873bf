#include "carbonedge/node_table.hpp"

#include "carbonedge/search.hpp"
#include "carbonedge/units.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <string>

namespace carbonedge
{
namespace
{
// So few blocks are scanned in less time than a tree takes to keep.
constexpr std::size_t kFewBlocks = 8;
// Tasks placed before other threads get their turn.
constexpr std::size_t kBatch = 16;

double cpu_quanta(double cores)
{
    return std::nearbyint(cores * kCpuQuantaPerCore);
}
double memory_quanta(double mb)
{
    return std::nearbyint(mb * kMemoryQuantaPerMb);
}

Demand demand_of(Task const &task)
{
    return {cpu_quanta(task.cpu_cores), memory_quanta(task.memory_mb)};
}

// Of no node.
Block const &empty_block()
{
    static auto const block = []
    {
        Block made{};
        made[Feature::open_cpu].values.fill(-1.0);
        return made;
    }();
    return block;
}
} // namespace

NodeTable::NodeTable(std::vector<Node> const &nodes, Policy const &policy)
    : policy_(policy)
{
    states_.reserve(nodes.size());
    blocks_.reserve((nodes.size() + kLanes - 1) / kLanes);
    for (auto const &node : nodes)
        append(node);
}

NodeTable::NodeTable(Columns const &columns, Policy const &policy) : policy_(policy)
{
    auto const count = columns.front().size();
    states_.reserve(count);
    blocks_.reserve((count + kLanes - 1) / kLanes);
    for (std::size_t index = 0; index < count; ++index)
    {
        Node node;
        for (std::size_t field = 0; field < kNumFields; ++field)
            node.values[field] = columns[field][index];
        append(node);
    }
}

std::size_t NodeTable::size() const
{
    std::scoped_lock const lock(mutex_);
    return states_.size();
}

bool NodeTable::has(std::size_t index) const
{
    std::scoped_lock const lock(mutex_);
    return index < states_.size() && states_[index].node[Field::parallelism] != 0.0;
}

Node NodeTable::node(std::size_t index) const
{
    std::scoped_lock const lock(mutex_);
    return states_[index].node;
}

double NodeTable::free_cpu(State const &state) const
{
    auto const open = state.node[Field::cpu_cores] * (1.0 - state.node[Field::load]);
    return cpu_quanta(open) - state.reserved_cpu;
}

double NodeTable::free_cpu_cores(std::size_t index) const
{
    std::scoped_lock const lock(mutex_);
    return free_cpu(states_[index]) / kCpuQuantaPerCore;
}

double NodeTable::free_memory_mb(std::size_t index) const
{
    std::scoped_lock const lock(mutex_);
    auto const &state = states_[index];
    return (memory_quanta(state.node[Field::memory_mb]) - state.reserved_memory)
           / kMemoryQuantaPerMb;
}

void NodeTable::append(Node const &node)
{
    auto const index = states_.size();
    states_.push_back({node});
    if (index % kLanes == 0)
        blocks_.push_back(empty_block());
    derive(index);
}

void NodeTable::derive(std::size_t index)
{
    auto const &node = states_[index].node;
    auto &block = blocks_[index / kLanes];
    auto const lane = index % kLanes;
    auto const cpu = cpu_quanta(node[Field::cpu_cores]);
    auto const memory = memory_quanta(node[Field::memory_mb]);

    block[Feature::per_cpu][lane] = 0.5 / std::max(1.0, cpu);
    block[Feature::per_memory][lane] = 0.5 / std::max(1.0, memory);
    block[Feature::headroom][lane] = 1.0 - node[Field::load];
    block[Feature::emissions_g][lane] = predicted_emissions_g(node);
    derive_queue(index);
}

// The part that tasks coming and going change.
void NodeTable::derive_queue(std::size_t index)
{
    auto const &state = states_[index];
    auto const &node = state.node;
    auto &block = blocks_[index / kLanes];
    auto const lane = index % kLanes;
    auto const barred =
        node[Field::parallelism] == 0.0 || node[Field::load] > policy_.max_load
        || node[Field::network_latency_ms] > policy_.max_network_latency_ms;

    block[Feature::open_cpu][lane] = barred ? -1.0 : free_cpu(state);
    block[Feature::free_memory][lane] =
        memory_quanta(node[Field::memory_mb]) - state.reserved_memory;
    if (node[Field::parallelism] == 0.0)
        return;
    block[Feature::balance][lane] = 1.0 / (1.0 + 2.0 * node[Field::running_tasks]);
    block[Feature::latency_ms][lane] = predicted_latency_ms(node);
    if (policy_.scoring == Scoring::paper)
        block.merit[lane] = weighted_sum(policy_.weights, paper_components(node));
}

void NodeTable::refresh(std::size_t index)
{
    forest_.touch(blocks_, index / kLanes);
}

Placement NodeTable::placement(Choice const &choice, Outlook const &outlook) const
{
    auto const &node = states_[choice.index].node;
    auto const &block = blocks_[choice.index / kLanes];
    auto const lane = choice.index % kLanes;
    return {choice.index,
            choice.score,
            policy_.scoring == Scoring::normalized ? scaled(block, lane, outlook)
                                                   : paper_components(node),
            block[Feature::latency_ms][lane],
            predicted_energy_j(node),
            block[Feature::emissions_g][lane],
            Ticket{0}};
}

std::optional<Choice>
NodeTable::by_scan(Demand const &demand, double slo_ms, Outlook &outlook) const
{
    switch (policy_.scoring)
    {
    case Scoring::paper:
        return scan_merit(blocks_, demand);
    case Scoring::constrained:
        return scan_emissions(blocks_, demand, slo_ms);
    case Scoring::normalized:
        break;
    }
    outlook = outlook_of(blocks_, demand, policy_.weights);
    return scan_scaled(blocks_, outlook);
}

std::optional<Choice>
NodeTable::by_search(Demand const &demand, double slo_ms, Outlook &outlook)
{
    if (blocks_.size() <= kFewBlocks)
        return by_scan(demand, slo_ms, outlook);
    auto *tree = forest_.find(blocks_, demand);
    if (tree == nullptr && policy_.scoring != Scoring::normalized)
        tree = forest_.find_below(blocks_, demand);
    if (tree == nullptr)
        return by_scan(demand, slo_ms, outlook);
    switch (policy_.scoring)
    {
    case Scoring::paper:
        return best_merit(blocks_, *tree, demand);
    case Scoring::constrained:
        return least_emissions(blocks_, *tree, demand, slo_ms);
    case Scoring::normalized:
        break;
    }
    auto const choice = best_scaled(blocks_, *tree, policy_.weights);
    outlook = tree->outlook();
    return choice;
}

std::optional<Placement> NodeTable::scan(Task const &task) const
{
    std::scoped_lock const lock(mutex_);
    Outlook outlook;
    auto const choice = by_scan(demand_of(task), task.slo_ms, outlook);
    return choice ? std::optional{placement(*choice, outlook)} : std::nullopt;
}

std::optional<Placement> NodeTable::select(Task const &task)
{
    std::scoped_lock const lock(mutex_);
    Outlook outlook;
    auto const choice = by_search(demand_of(task), task.slo_ms, outlook);
    return choice ? std::optional{placement(*choice, outlook)} : std::nullopt;
}

void NodeTable::hold(std::size_t index, Demand const &demand)
{
    auto &state = states_[index];
    state.reserved_cpu += demand.cpu;
    state.reserved_memory += demand.memory;
    state.node[Field::running_tasks] += 1.0;
    derive_queue(index);
    refresh(index);
}

std::optional<Placement> NodeTable::place(Task const &task)
{
    std::scoped_lock const lock(mutex_);
    Outlook outlook;
    auto const demand = demand_of(task);
    auto const choice = by_search(demand, task.slo_ms, outlook);
    if (!choice)
        return std::nullopt;
    auto placed = placement(*choice, outlook);
    placed.ticket = reservations_.open(choice->index, demand);
    hold(choice->index, demand);
    return placed;
}

void NodeTable::place_many(std::span<double const> cpu_cores,
                           std::span<double const> memory_mb,
                           std::span<std::int64_t> chosen,
                           std::span<Ticket> tickets)
{
    constexpr auto kNoLimit = std::numeric_limits<double>::infinity();
    Outlook outlook;
    for (std::size_t start = 0; start < chosen.size(); start += kBatch)
    {
        mutex_.let_others_in();
        std::scoped_lock const lock(mutex_);
        auto const stop = std::min(chosen.size(), start + kBatch);
        for (auto i = start; i < stop; ++i)
        {
            auto const demand = demand_of({cpu_cores[i], memory_mb[i]});
            auto const choice = by_search(demand, kNoLimit, outlook);
            chosen[i] = choice ? static_cast<std::int64_t>(choice->index) : -1;
            if (choice)
                hold(choice->index, demand);
            if (!tickets.empty())
                tickets[i] = choice ? reservations_.open(choice->index, demand) : 0;
        }
    }
}

Ticket NodeTable::reserve(std::size_t index, Task const &task)
{
    std::scoped_lock const lock(mutex_);
    check(index);
    auto const demand = demand_of(task);
    auto const ticket = reservations_.open(index, demand);
    hold(index, demand);
    return ticket;
}

void NodeTable::complete(Ticket ticket, std::optional<double> elapsed_ms)
{
    std::scoped_lock const lock(mutex_);
    auto const [_, index, demand] = reservations_.close(ticket);
    if (index == kNoNode)
        return;
    auto &state = states_[index];
    state.reserved_cpu -= demand.cpu;
    state.reserved_memory -= demand.memory;
    state.node[Field::running_tasks] -= 1.0;
    if (elapsed_ms)
    {
        auto &average = state.node[Field::avg_time_ms];
        average = average == 0.0
                      ? *elapsed_ms
                      : average + policy_.smoothing * (*elapsed_ms - average);
    }
    derive(index);
    refresh(index);
}

void NodeTable::set(std::size_t index, Field field, double value)
{
    std::scoped_lock const lock(mutex_);
    check(index);
    states_[index].node[field] = value;
    derive(index);
    refresh(index);
}

void NodeTable::set_all(std::vector<Column> const &columns)
{
    std::scoped_lock const lock(mutex_);
    for (auto const &column : columns)
        if (column.values.size() != states_.size())
            throw std::invalid_argument("there are " + std::to_string(states_.size())
                                        + " nodes and "
                                        + std::to_string(column.values.size())
                                        + " values: give one for each");
    for (std::size_t index = 0; index < states_.size(); ++index)
    {
        auto &node = states_[index].node;
        if (node[Field::parallelism] == 0.0)
            continue;
        for (auto const &[field, values] : columns)
            node[field] = values[index];
        derive(index);
    }
    forest_.outdate();
}

void NodeTable::check(std::size_t index) const
{
    if (index >= states_.size() || states_[index].node[Field::parallelism] == 0.0)
        throw std::out_of_range("there is no node " + std::to_string(index));
}

std::size_t NodeTable::add(Node const &node)
{
    std::scoped_lock const lock(mutex_);
    auto const index = states_.size();
    append(node);
    refresh(index);
    return index;
}

void NodeTable::remove(std::size_t index)
{
    std::scoped_lock const lock(mutex_);
    check(index);
    reservations_.forget_node(index);
    states_[index].node[Field::parallelism] = 0.0;
    derive_queue(index);
    refresh(index);
}

Refusal NodeTable::refusal(std::size_t index, Task const &task) const
{
    std::scoped_lock const lock(mutex_);
    return refusal_unlocked(index, task);
}

Refusal NodeTable::refusal_unlocked(std::size_t index, Task const &task) const
{
    auto const &state = states_[index];
    auto const &block = blocks_[index / kLanes];
    auto const lane = index % kLanes;
    auto const demand = demand_of(task);
    if (state.node[Field::parallelism] == 0.0)
        return Refusal::removed;
    if (state.node[Field::load] > policy_.max_load)
        return Refusal::load;
    if (state.node[Field::network_latency_ms] > policy_.max_network_latency_ms)
        return Refusal::network_latency;
    if (block[Feature::open_cpu][lane] < demand.cpu)
        return Refusal::cpu;
    if (block[Feature::free_memory][lane] < demand.memory)
        return Refusal::memory;
    if (policy_.scoring == Scoring::constrained
        && block[Feature::latency_ms][lane] > task.slo_ms)
        return Refusal::slo;
    if (policy_.scoring == Scoring::paper && !(block.merit[lane] > 0.0))
        return Refusal::score;
    return Refusal::none;
}

std::vector<Explanation> NodeTable::explain(Task const &task) const
{
    std::scoped_lock const lock(mutex_);
    auto const demand = demand_of(task);
    auto const outlook = outlook_of(blocks_, demand, policy_.weights);

    std::vector<Explanation> result;
    result.reserve(states_.size());
    Lanes scores{};
    for (std::size_t index = 0; index < states_.size(); ++index)
    {
        auto const &node = states_[index].node;
        auto const &block = blocks_[index / kLanes];
        auto const lane = index % kLanes;
        if (lane == 0 && policy_.scoring == Scoring::normalized)
            score(block, outlook, scores);
        Explanation own{refusal_unlocked(index, task),
                        0.0,
                        {},
                        block[Feature::latency_ms][lane],
                        predicted_energy_j(node),
                        block[Feature::emissions_g][lane]};
        if (own.refusal == Refusal::none)
        {
            switch (policy_.scoring)
            {
            case Scoring::paper:
                own.score = block.merit[lane];
                own.components = paper_components(node);
                break;
            case Scoring::normalized:
                own.score = scores[lane];
                own.components = scaled(block, lane, outlook);
                break;
            case Scoring::constrained:
                own.score = -block[Feature::emissions_g][lane];
                own.components = paper_components(node);
                break;
            }
        }
        result.push_back(own);
    }
    return result;
}

Snapshot NodeTable::snapshot() const
{
    std::scoped_lock const lock(mutex_);
    Snapshot result;
    std::vector<Demand> lasting;
    for (auto const &state : states_)
    {
        result.nodes.push_back(state.node);
        lasting.push_back({state.reserved_cpu, state.reserved_memory});
    }
    auto const held = reservations_.all();
    for (auto const &[_, index, demand] : held)
        if (index != kNoNode)
        {
            lasting[index].cpu -= demand.cpu;
            lasting[index].memory -= demand.memory;
        }
    for (std::size_t index = 0; index < lasting.size(); ++index)
    {
        auto const there = states_[index].node[Field::parallelism] != 0.0;
        if (there && (lasting[index].cpu > 0.0 || lasting[index].memory > 0.0))
            result.reservations.push_back({0, index, lasting[index]});
    }
    result.reservations.insert(result.reservations.end(), held.begin(), held.end());
    return result;
}

void NodeTable::restore(std::vector<Reservation> const &reservations)
{
    std::scoped_lock const lock(mutex_);
    reservations_.restore(reservations);
    for (auto const &[_, index, demand] : reservations)
        if (index != kNoNode)
        {
            states_[index].reserved_cpu += demand.cpu;
            states_[index].reserved_memory += demand.memory;
        }
    for (std::size_t index = 0; index < states_.size(); ++index)
        derive_queue(index);
    forest_.clear();
}
} // namespace carbonedge
