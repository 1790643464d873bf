#include "carbonedge/partition.hpp"

#include "carbonedge/units.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <functional>
#include <queue>
#include <tuple>
#include <utility>

namespace carbonedge
{
namespace
{
constexpr auto kInfinity = std::numeric_limits<double>::infinity();
// Sums taken in different orders differ in their last digits; a limit is not to
// turn on them.
constexpr auto kRoundingSlack = 1.0 + 1e-9;
constexpr auto kNoLabel = std::numeric_limits<std::uint32_t>::max();

using Matrix = std::vector<double>;

// Where no link is, no measure may see one.
Matrix fixed_costs(std::span<double const> link_latency_ms, bool count_latency)
{
    Matrix fixed;
    fixed.reserve(link_latency_ms.size());
    for (auto const latency : link_latency_ms)
        fixed.push_back(count_latency || std::isinf(latency) ? latency : 0.0);
    return fixed;
}

ChainCosts latency_costs(Chain const &chain)
{
    Matrix per_mb;
    for (auto const mbps : chain.link_mbps)
        per_mb.push_back(kMegabitsPerMb * kMsPerSecond / mbps);
    return {chain.time_ms,
            chain.stage_overhead_ms,
            fixed_costs(chain.link_latency_ms, true),
            per_mb,
            chain.cut_mb};
}

ChainCosts energy_costs(Chain const &chain)
{
    return {chain.energy_j,
            chain.stage_overhead_j,
            fixed_costs(chain.link_latency_ms, false),
            chain.link_j_per_mb,
            chain.cut_mb};
}

ChainCosts emissions_costs(Chain const &chain)
{
    auto const num_nodes = chain.node_memory_mb.size();
    auto const grams = [&](double energy_j, double time_ms, std::size_t node)
    { return energy_j * chain.grams_per_j[node] + time_ms * chain.grams_per_ms[node]; };

    Matrix operators;
    operators.reserve(chain.time_ms.size());
    for (std::size_t i = 0; i < chain.time_ms.size(); ++i)
        operators.push_back(grams(chain.energy_j[i], chain.time_ms[i], i % num_nodes));

    Matrix overhead;
    for (std::size_t node = 0; node < num_nodes; ++node)
        overhead.push_back(
            grams(chain.stage_overhead_j[node], chain.stage_overhead_ms[node], node));

    Matrix per_mb;
    for (std::size_t link = 0; link < chain.link_j_per_mb.size(); ++link)
        per_mb.push_back(chain.link_j_per_mb[link] * chain.link_grams_per_j[link]);

    return {operators,
            overhead,
            fixed_costs(chain.link_latency_ms, false),
            per_mb,
            chain.cut_mb};
}

double combine(bool bottleneck, double a, double b)
{
    return bottleneck ? std::max(a, b) : a + b;
}

// The cost of a whole plan, summed or, for a bottleneck, its largest part.
double plan_cost(ChainCosts const &costs, Partition const &plan, bool bottleneck)
{
    auto total = 0.0;
    std::size_t start = 0;
    for (std::size_t k = 0; k < plan.nodes.size(); ++k)
    {
        auto const stop = static_cast<std::size_t>(plan.stops[k]);
        auto const node = static_cast<std::size_t>(plan.nodes[k]);
        total = combine(bottleneck, total, costs.stage(start, stop, node));
        if (k + 1 < plan.nodes.size())
        {
            auto const next = static_cast<std::size_t>(plan.nodes[k + 1]);
            total = combine(bottleneck, total, costs.transfer(stop, node, next));
        }
        start = stop;
    }
    return total;
}

// The farthest stop of a stage that starts at each cut, by node memory: [N, L].
std::vector<std::size_t> farthest_stops(Chain const &chain)
{
    auto const num_operators = chain.memory_mb.size();
    Matrix upto(num_operators + 1);
    for (std::size_t p = 0; p < num_operators; ++p)
        upto[p + 1] = upto[p] + chain.memory_mb[p];

    std::vector<std::size_t> farthest;
    for (auto const memory_mb : chain.node_memory_mb)
    {
        auto const limit = memory_mb * kRoundingSlack;
        std::size_t stop = 0;
        for (std::size_t start = 0; start < num_operators; ++start)
        {
            stop = std::max(stop, start);
            while (stop < num_operators && upto[stop + 1] - upto[start] <= limit)
                ++stop;
            farthest.push_back(stop);
        }
    }
    return farthest;
}

// The least cost still to come for a stage that starts at each cut on each node,
// if nodes could be used again: [L, N], infinite where there is no way on.
Matrix cost_to_go(ChainCosts const &costs,
                  std::vector<std::size_t> const &farthest,
                  bool bottleneck)
{
    auto const num_operators = costs.num_operators();
    auto const num_nodes = costs.num_nodes();
    Matrix to_go(num_operators * num_nodes, kInfinity);

    // What follows a stage that stops at each cut: a hop and the rest. Kept by
    // node, and for sums with the stage's own prefix in, so that the search for
    // the best stop is one running minimum.
    auto const width = num_operators + 1;
    Matrix onward(num_nodes * width, kInfinity);
    for (std::size_t node = 0; node < num_nodes; ++node)
        onward[node * width + num_operators] =
            bottleneck ? 0.0 : costs.upto(node)[num_operators];

    for (std::size_t start = num_operators; start-- > 0;)
    {
        for (std::size_t node = 0; node < num_nodes; ++node)
        {
            auto const *upto = costs.upto(node);
            auto const *rest = onward.data() + node * width;
            auto const last = farthest[node * num_operators + start];
            auto best = kInfinity;
            if (bottleneck)
                for (auto stop = start + 1; stop <= last; ++stop)
                    best = std::min(
                        best, std::max(costs.stage(start, stop, node), rest[stop]));
            else
            {
#pragma omp simd reduction(min : best)
                for (auto stop = start + 1; stop <= last; ++stop)
                    best = rest[stop] < best ? rest[stop] : best;
                best = best - upto[start] + costs.overhead(node);
            }
            to_go[start * num_nodes + node] = best;
        }
        for (std::size_t node = 0; node < num_nodes; ++node)
        {
            auto best = kInfinity;
            for (std::size_t next = 0; next < num_nodes; ++next)
                if (next != node)
                    best = std::min(best,
                                    combine(bottleneck,
                                            costs.transfer(start, node, next),
                                            to_go[start * num_nodes + next]));
            onward[node * width + start] =
                bottleneck ? best : best + costs.upto(node)[start];
        }
    }
    return to_go;
}

double least_at_start(Matrix const &to_go, std::size_t num_nodes)
{
    return *std::min_element(to_go.begin(),
                             to_go.begin() + static_cast<std::ptrdiff_t>(num_nodes));
}

// A lower bound on cost under a latency limit: cost + price * (latency - slo).
struct Dual
{
    double price;
    Matrix to_go; // of cost + price * latency
};

// The price of latency with the highest bound at the start. The bound is concave
// in the price: leaps find its scale, then ever smaller steps its top.
Dual best_dual(ChainCosts const &costs,
               ChainCosts const &latency,
               std::vector<std::size_t> const &farthest,
               double unit_price,
               double slo_ms)
{
    constexpr auto kLeaps = 12;
    constexpr auto kLeap = 4.0;
    constexpr auto kSteps = 8;
    Dual best{};
    auto highest = -kInfinity;
    auto const attempt = [&](double price)
    {
        auto to_go = cost_to_go(costs.plus(latency, price), farthest, false);
        auto const bound = least_at_start(to_go, costs.num_nodes()) - price * slo_ms;
        if (bound > highest)
        {
            highest = bound;
            best = {price, std::move(to_go)};
        }
    };

    auto price = unit_price / 4096.0;
    for (auto i = 0; i < kLeaps; ++i, price *= kLeap)
        attempt(price);
    auto step = best.price / 2.0;
    for (auto i = 0; i < kSteps; ++i, step /= 2.0)
    {
        attempt(best.price + step);
        attempt(best.price - step);
    }
    return best;
}

// A plan up to a cut, its next stage about to start on `node`.
struct Label
{
    std::size_t cut;
    std::uint32_t used; // bit set of nodes, `node` in
    std::size_t node;
    std::size_t stages; // with the one about to start
    std::uint32_t parent;
    double cost;
    double latency;
};

class Search
{
public:
    Search(Chain const &chain, Objective objective, Limits const &limits)
        : limits_(limits), num_operators_(chain.memory_mb.size()),
          num_nodes_(chain.node_memory_mb.size()),
          bottleneck_(objective == Objective::throughput),
          bound_latency_(std::isfinite(limits.slo_ms)), latency_(latency_costs(chain)),
          energy_(energy_costs(chain)), emissions_(emissions_costs(chain)),
          costs_(objective == Objective::energy      ? energy_
                 : objective == Objective::emissions ? emissions_
                                                     : latency_),
          farthest_(farthest_stops(chain)),
          to_go_(cost_to_go(costs_, farthest_, bottleneck_)), work_(num_operators_ + 1),
          newest_(num_operators_ * num_nodes_, kNoLabel)
    {
        if (bottleneck_)
            share_out_work();
        if (!bound_latency_)
            return;
        latency_to_go_ = cost_to_go(latency_, farthest_, false);
        auto const cost = least_at_start(to_go_, num_nodes_);
        auto const latency = least_at_start(latency_to_go_, num_nodes_);
        auto const priceable = std::isfinite(cost) && cost > 0.0 && latency > 0.0;
        if (!bottleneck_ && priceable)
            dual_ =
                best_dual(costs_, latency_, farthest_, cost / latency, limits_.slo_ms);
    }

    std::optional<Partition> run(bool &exhausted)
    {
        // The best single node, found first, keeps what cannot beat it unopened.
        for (std::size_t node = 0; node < num_nodes_; ++node)
            finish(push(Label{0, 1u << node, node, 1, kNoLabel, 0.0, 0.0}));

        while (!queue_.empty() && std::get<0>(queue_.top()) < best_cost_
               && labels_.size() < limits_.max_labels)
        {
            auto const label = std::get<2>(queue_.top());
            queue_.pop();
            expand(label);
        }

        auto const settled = queue_.empty() || std::get<0>(queue_.top()) >= best_cost_;
        exhausted = !settled;
        if (best_label_ == kNoLabel)
            return std::nullopt;
        return trace_back(settled ? best_cost_ : std::get<0>(queue_.top()), settled);
    }

private:
    [[nodiscard]] std::size_t at(std::size_t cut, std::size_t node) const
    {
        return cut * num_nodes_ + node;
    }

    // However the operators still to come are shared out, a node that takes a set of
    // them is busy for at least its whole time on the model times their summed work,
    // where an operator's work is its least share of any node's whole time.
    void share_out_work()
    {
        for (auto p = num_operators_; p-- > 0;)
        {
            auto least = kInfinity;
            for (std::size_t node = 0; node < num_nodes_; ++node)
            {
                auto const *upto = costs_.upto(node);
                auto const whole = upto[num_operators_];
                least = std::min(least,
                                 whole > 0.0 ? (upto[p + 1] - upto[p]) / whole : 0.0);
            }
            work_[p] = work_[p + 1] + least;
        }
    }

    // The slowest part when the nodes left are all as busy as the work demands.
    [[nodiscard]] double work_bound(Label const &label) const
    {
        auto rate = 0.0;
        for (std::size_t node = 0; node < num_nodes_; ++node)
        {
            if (node != label.node && (label.used >> node & 1u) != 0)
                continue;
            auto const whole = costs_.upto(node)[num_operators_];
            if (whole == 0.0)
                return 0.0;
            rate += 1.0 / whole;
        }
        return work_[label.cut] / rate;
    }

    // No completion of a label costs less; infinite when none meets the limits.
    [[nodiscard]] double bound(Label const &label) const
    {
        auto const here = at(label.cut, label.node);
        auto lower = combine(bottleneck_, label.cost, to_go_[here]);
        if (bottleneck_)
            lower = std::max(lower, work_bound(label));
        if (!bound_latency_)
            return lower;
        // An slo_ms is often some plan's own latency: finish() has the last word.
        if (label.latency + latency_to_go_[here] > limits_.slo_ms * kRoundingSlack)
            return kInfinity;
        if (!dual_)
            return lower;
        auto const priced = label.cost + dual_->price * (label.latency - limits_.slo_ms)
                            + dual_->to_go[here];
        return std::max(lower, priced);
    }

    [[nodiscard]] bool dominated(Label const &label) const
    {
        for (auto i = newest_[at(label.cut, label.node)]; i != kNoLabel;
             i = siblings_[i])
        {
            auto const &other = labels_[i];
            if ((other.used & ~label.used) == 0 && other.cost <= label.cost
                && (!bound_latency_ || other.latency <= label.latency))
                return true;
        }
        return false;
    }

    std::uint32_t push(Label const &label)
    {
        auto const id = static_cast<std::uint32_t>(labels_.size());
        auto &newest = newest_[at(label.cut, label.node)];
        labels_.push_back(label);
        siblings_.push_back(std::exchange(newest, id));
        queue_.push({bound(label), num_operators_ - label.cut, id});
        return id;
    }

    // Completes a label on its own node, where memory and latency permit.
    void finish(std::uint32_t id)
    {
        auto const &label = labels_[id];
        if (farthest_[label.node * num_operators_ + label.cut] < num_operators_)
            return;
        auto const cost = combine(bottleneck_,
                                  label.cost,
                                  costs_.stage(label.cut, num_operators_, label.node));
        auto const latency =
            label.latency + latency_.stage(label.cut, num_operators_, label.node);
        if (cost < best_cost_ && latency <= limits_.slo_ms)
        {
            best_cost_ = cost;
            best_label_ = id;
        }
    }

    void expand(std::uint32_t id)
    {
        finish(id);
        auto const label = labels_[id];
        if (label.stages >= limits_.max_stages)
            return;
        auto const last = std::min(farthest_[label.node * num_operators_ + label.cut],
                                   num_operators_ - 1);
        for (auto stop = label.cut + 1; stop <= last; ++stop)
        {
            auto const cost = combine(
                bottleneck_, label.cost, costs_.stage(label.cut, stop, label.node));
            if (cost >= best_cost_)
                return;
            auto const latency =
                label.latency + latency_.stage(label.cut, stop, label.node);
            for (std::size_t next = 0; next < num_nodes_; ++next)
            {
                if ((label.used >> next & 1u) != 0)
                    continue;
                Label const onward{
                    stop,
                    label.used | 1u << next,
                    next,
                    label.stages + 1,
                    id,
                    combine(bottleneck_, cost, costs_.transfer(stop, label.node, next)),
                    latency + latency_.transfer(stop, label.node, next)};
                if (bound(onward) < best_cost_ && !dominated(onward))
                    push(onward);
            }
        }
    }

    Partition trace_back(double lower, bool settled) const
    {
        Partition plan{};
        plan.stops.push_back(static_cast<std::int64_t>(num_operators_));
        for (auto id = best_label_; id != kNoLabel; id = labels_[id].parent)
        {
            auto const &label = labels_[id];
            plan.nodes.push_back(static_cast<std::int64_t>(label.node));
            if (label.cut > 0)
                plan.stops.push_back(static_cast<std::int64_t>(label.cut));
        }
        std::reverse(plan.stops.begin(), plan.stops.end());
        std::reverse(plan.nodes.begin(), plan.nodes.end());

        plan.latency_ms = plan_cost(latency_, plan, false);
        plan.energy_j = plan_cost(energy_, plan, false);
        plan.emissions_g = plan_cost(emissions_, plan, false);
        plan.bottleneck_ms = plan_cost(latency_, plan, true);
        plan.value = best_cost_;
        plan.bound = lower;
        plan.optimal = settled;
        return plan;
    }

    Limits limits_;
    std::size_t num_operators_;
    std::size_t num_nodes_;
    bool bottleneck_;
    bool bound_latency_;
    ChainCosts latency_;
    ChainCosts energy_;
    ChainCosts emissions_;
    ChainCosts const &costs_;
    std::vector<std::size_t> farthest_;
    Matrix to_go_;
    Matrix work_; // of the operators from each cut on, as shares; for a bottleneck
    Matrix latency_to_go_;
    std::optional<Dual> dual_;

    std::vector<Label> labels_;
    std::vector<std::uint32_t> newest_;   // per cut and node, the last label there
    std::vector<std::uint32_t> siblings_; // per label, the one before it there
    // By bound; of equals the one that has come farthest, then the oldest.
    using Entry = std::tuple<double, std::size_t, std::uint32_t>;
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue_;
    double best_cost_ = kInfinity;
    std::uint32_t best_label_ = kNoLabel;
};
} // namespace

std::optional<Partition> best_partition(Chain const &chain,
                                        Objective objective,
                                        Limits const &limits,
                                        bool &exhausted)
{
    assert(chain.node_memory_mb.size() <= kMaxPartitionNodes);
    return Search(chain, objective, limits).run(exhausted);
}
} // namespace carbonedge
