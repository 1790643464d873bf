// Least cost and fronts, by tables of the cost to go and a search over labels.
#include "archive.hpp"
#include "plan_totals.hpp"
#include "rough_plan.hpp"

#include "carbonedge/cost_to_go.hpp"
#include "carbonedge/deadline.hpp"
#include "carbonedge/partition.hpp"
#include "carbonedge/set_search.hpp"
#include "carbonedge/stage_limits.hpp"
#include "carbonedge/uses.hpp"
#include "carbonedge/viability.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

namespace carbonedge
{
namespace
{
// An slo_ms is often some plan's own latency: bounds are not to turn on its last digit.
constexpr auto kRoundingSlack = 1.0 + 1e-9;
// Labels that differ by less, as a share of the least a plan can come to, are alike.
constexpr auto kTieShare = 1e-12;
constexpr auto kNoStage = std::numeric_limits<std::uint32_t>::max();
constexpr auto kLabelsBetweenLooks = 64;
// Numbers in all tables of the cost to go together: 8 bytes each, twice.
constexpr std::size_t kMostNumbers = 1u << 21;
constexpr std::size_t kMostPrices = 16;
// Combinations of nodes.
constexpr std::size_t kMostSets = 1u << 17;
constexpr auto kSecondsForAny = 0.5;
// What a search cut short keeps of its time for good plans, and how it looks for them.
constexpr auto kShareForGood = 0.25;
constexpr auto kMostSecondsForGood = 1.0;
constexpr std::size_t kNarrow = 30;
constexpr std::size_t kMostNarrowStates = 1u << 17;
// Partial plans kept before the search settles for the best it has.
constexpr std::size_t kMostStages = 20'000'000;

// A running stage, and what all up to the cut where the search stands has cost.
struct Label
{
    double cost;
    double latency;
    std::uint64_t used;
    std::uint32_t state;
    std::uint32_t every;    // the same of all resources, when the search is narrow
    std::uint32_t farthest; // stop
    std::uint32_t stage;
};

// What the stages before a new one have used, and the last of them.
struct Uptake
{
    std::uint64_t used = 0;
    std::uint32_t state = 0;
    std::uint32_t every = 0;
    std::uint32_t stage = kNoStage;
};

struct StageStart
{
    std::uint32_t cut;
    std::uint32_t kind;
    std::uint32_t before;
};

// A lower bound on cost + price * latency.
struct Dual
{
    double price;
    ChainCosts costs;
    CostToGo to_go;
};

// A search that keeps only the most promising labels: it tells all nodes apart and
// drops at once what the nodes left could not bring to an end.
struct Narrow
{
    UseStates states;
    Viability viability;
};

// Which nodes a plan uses is first left out of account. Where the plans found use a
// kind more often than it has nodes, or have more stages than they may, that resource
// is tracked, and the search run again: what it finds is never worse than the best
// plan, and is the best once nothing is overused. (Decremental state space
// relaxation: Righini and Salani, Networks 51, 2008.)
class LabelSearch
{
public:
    LabelSearch(Chain const &chain,
                Prices const &prices,
                Limits const &limits,
                bool whole_front,
                double hoped_ms = kInfinity)
        : chain_(chain), prices_(prices), limits_(limits), hoped_ms_(hoped_ms),
          half_(limits.time_limit_s / 2.0),
          deadline_(limits.time_limit_s - time_for_good(limits)),
          last_deadline_(limits.time_limit_s), num_operators_(chain.num_operators()),
          num_kinds_(chain.num_kinds()), whole_front_(whole_front),
          bound_latency_(whole_front || std::isfinite(limits.slo_ms)),
          latency_(latency_of(chain)), cost_(priced(chain, prices)),
          stage_limits_(chain, latency_, limits.max_part_ms),
          resources_(chain, limits.max_stages), uses_(resources_), states_(resources_),
          running_(num_kinds_), starting_(num_kinds_), found_(whole_front),
          kept_(whole_front)
    {
        // Where any node can hold it all, plans have few stages, and to tell all nodes
        // apart at once is quicker than to search twice.
        auto roomy = true;
        for (std::size_t kind = 0; kind < num_kinds_; ++kind)
            roomy = roomy && stage_limits_.farthest(0, kind) == num_operators_;
        for (std::size_t kind = 0; kind < num_kinds_ && roomy; ++kind)
            uses_.track(kind);
    }

    Found run()
    {
        // Without these tables nothing is known: they are made whatever the time.
        cost_to_go_.emplace(cost_, stage_limits_, states_);
        if (std::isinf(cost_to_go_->whole()))
            return answer(true);
        lower_ = cost_to_go_->whole();
        if (bound_latency_ && !whole_front_)
            if (auto const found = if_latency_is_loose())
                return *found;
        if (bound_latency_ && !latency_to_go_)
        {
            // Without this one a plan may be known all the same.
            if (!whole_front_ && deadline_.passed() && keep_rough_plans())
                return answer(false);
            latency_to_go_.emplace(latency_, stage_limits_, states_);
        }
        for (;;)
        {
            if (std::isinf(cost_to_go_->whole()) || too_slow())
                return answer(true);
            overused_.clear();
            explored_ = Explored::nothing;
            lower_ = std::max(lower_, cost_to_go_->whole());
            cost_tie_ = lower_ * kTieShare;
            if (bound_latency_)
                latency_tie_ = latency_to_go_->whole() * kTieShare;
            auto const finished = whole_front_ ? find_front() : find_least();
            if (!finished)
                return answer(false);
            if (overused_.empty())
                return answer(true);
            if (out_of_time() || !track_overused())
                return answer(false);
        }
    }

private:
    enum class Explored
    {
        nothing,
        part,
        all,
    };

    // The answer, where the best of all plans turns out to be quick enough, or that
    // there is none: a target that stands in nobody's way makes nothing harder. Half of
    // the time is enough for that, unless it looks as if it were so.
    std::optional<Found> if_latency_is_loose()
    {
        auto const cheapest = best_plan(cost_, *cost_to_go_);
        if (keep(cheapest))
            return answer(true);
        if (overused_.empty())
            return std::nullopt;
        if (deadline_.passed())
            return std::nullopt;
        // If even so no plan is quick enough, it takes no search.
        latency_to_go_.emplace(latency_, stage_limits_, states_);
        if (too_slow())
            return answer(true);
        auto limits = limits_;
        limits.slo_ms = kInfinity;
        limits.time_limit_s = last_deadline_.left_s();
        auto found = LabelSearch(chain_, prices_, limits, false, limits_.slo_ms).run();
        if (found.plans.empty())
            return found.proven ? std::optional(std::move(found)) : std::nullopt;
        auto const &plan = found.plans.front();
        if (plan.latency_ms <= limits_.slo_ms)
            return found;
        lower_ = std::max(lower_, plan.value * (1.0 - found.gap));
        return std::nullopt;
    }

    // Whether even the quickest plan is.
    [[nodiscard]] bool too_slow() const
    {
        return bound_latency_
               && (std::isinf(latency_to_go_->whole())
                   || latency_to_go_->whole() > limits_.slo_ms * kRoundingSlack);
    }

    // Both searches tell whether they came to their end. If they did and nothing is
    // overused, what was kept is the answer.
    bool find_least()
    {
        auto const cheapest = best_plan(cost_, *cost_to_go_);
        if (keep(cheapest))
            return true;
        auto const in_time = total(latency_, cheapest) <= limits_.slo_ms;
        if (in_time && may_track())
            return true;
        duals_.clear();
        if (bound_latency_ && !price_latency())
            return false;
        overused_.clear();
        if (!bound_latency_)
            if (auto const finished = explore_sets())
                return *finished;
        for (auto const share : {1e-3, 1e-2, 1e-1, kInfinity})
        {
            auto const ceiling = lower_ > 0.0 ? lower_ * (1.0 + share) : kInfinity;
            if (!explore(ceiling))
                return false;
            if (!found_.points().empty() || std::isinf(ceiling))
                return true;
            lower_ = ceiling;
        }
        return true;
    }

    // The same over combinations of nodes, where those are few enough: none else.
    std::optional<bool> explore_sets()
    {
        UseStates every(resources_);
        if (!every.track_kinds(kMostSets)
            || (resources_.limit(resources_.stages()) < every_node()
                && !every.track(resources_.stages(), kMostSets)))
            return std::nullopt;
        SetSearch sets(cost_, stage_limits_, every, *cost_to_go_, states_);
        for (auto const share : {1e-2, 3e-2, 1e-1, 3e-1, kInfinity})
        {
            auto const ceiling = lower_ > 0.0 ? lower_ * (1.0 + share) : kInfinity;
            auto const outcome = sets.run(std::min(ceiling, kept_.least_cost()),
                                          is_promising() ? deadline_ : half_);
            if (outcome == SetSearch::Outcome::too_large)
                return std::nullopt;
            if (auto const plan = sets.plan())
                keep(*plan);
            if (outcome == SetSearch::Outcome::cut_short)
                return false;
            if (kept_.least_cost() <= ceiling || std::isinf(ceiling))
                return true;
            lower_ = ceiling;
        }
        return true;
    }

    // Stages that a plan could have if only nodes ran short.
    [[nodiscard]] std::uint64_t every_node() const
    {
        std::uint64_t nodes = 0;
        for (std::size_t kind = 0; kind < num_kinds_; ++kind)
            nodes += resources_.limit(kind);
        return nodes;
    }

    bool find_front()
    {
        if (!price_hull())
            return false;
        if (may_track())
            return true;
        overused_.clear();
        return explore(kInfinity);
    }

    // The price of latency with the highest bound on a plan within slo_ms. The bound
    // is concave in the price: leaps find its scale, then ever smaller steps its top.
    // False when cut short.
    bool price_latency()
    {
        auto const quickest = latency_to_go_->whole();
        keep(best_plan(latency_, *latency_to_go_));
        if (lower_ <= 0.0 || quickest <= 0.0)
            return true;

        constexpr auto kLeaps = 12;
        constexpr auto kLeap = 4.0;
        constexpr auto kSteps = 8;
        UseStates const stateless(resources_);
        auto highest = -kInfinity;
        auto best = 0.0;
        auto const attempt = [&](double price)
        {
            auto const costs = cost_.plus(latency_, price);
            CostToGo const to_go(costs, stage_limits_, stateless, &deadline_);
            if (!to_go.finished() || std::isinf(to_go.whole()))
                return;
            auto const bound = bound_at(price, to_go);
            if (bound <= highest)
                return;
            highest = bound;
            best = price;
            keep(*to_go.plan(costs, stage_limits_, stateless));
        };
        auto price = lower_ / quickest / 4096.0;
        for (auto i = 0; i < kLeaps; ++i, price *= kLeap)
            attempt(price);
        auto step = best / 2.0;
        for (auto i = 0; i < kSteps; ++i, step /= 2.0)
        {
            attempt(best + step);
            attempt(best - step);
        }
        lower_ = std::max(lower_, highest);
        if (!add_dual(best))
            return false;
        lower_ = std::max(lower_, bound_at(best, duals_.back().to_go));
        return true;
    }

    // What a plan within slo_ms costs at least, less what may be rounding.
    [[nodiscard]] double bound_at(double price, CostToGo const &to_go) const
    {
        return to_go.whole() * (1.0 - kTieShare) - price * limits_.slo_ms;
    }

    // Prices at which two neighbours on the convex hull of the front cost the same:
    // between the quickest and the cheapest plan, then between those and what is
    // found there, while it lies below their line. (The first phase of the two-phase
    // method: Ulungu and Teghem, Found. Comput. Decision Sci. 20, 1995.) False when
    // cut short.
    bool price_hull()
    {
        struct Vertex
        {
            double latency;
            double cost;
        };
        auto const vertex = [&](ChainCosts const &costs, CostToGo const &to_go)
        {
            if (std::isinf(to_go.whole()))
                return Vertex{kInfinity, kInfinity};
            auto const plan = best_plan(costs, to_go);
            keep(plan);
            return Vertex{total(latency_, plan), total(cost_, plan)};
        };
        duals_.clear();
        std::vector<std::pair<Vertex, Vertex>> edges{
            {vertex(latency_, *latency_to_go_), vertex(cost_, *cost_to_go_)}};
        for (std::size_t i = 0; i < edges.size() && duals_.size() < kMostPrices; ++i)
        {
            auto const [quicker, cheaper] = edges[i];
            auto const price =
                (quicker.cost - cheaper.cost) / (cheaper.latency - quicker.latency);
            if (!(price > 0.0) || std::isinf(price))
                continue;
            if (!add_dual(price))
                return false;
            auto const &dual = duals_.back();
            auto const line = quicker.cost + price * quicker.latency;
            if (dual.to_go.whole() * kTie >= line)
                continue;
            auto const between = vertex(dual.costs, dual.to_go);
            edges.push_back({quicker, between});
            edges.push_back({between, cheaper});
        }
        return true;
    }

    // False when cut short.
    bool add_dual(double price)
    {
        auto costs = cost_.plus(latency_, price);
        CostToGo to_go(costs, stage_limits_, states_, &deadline_);
        if (!to_go.finished())
            return false;
        duals_.push_back({price, std::move(costs), std::move(to_go)});
        return true;
    }

    // Searches cut by cut for what costs less than a ceiling. False when cut short.
    bool explore(double ceiling)
    {
        explored_ = Explored::part;
        found_.clear(ceiling);
        for (auto const &point : kept_.points())
            found_.insert({point.latency, point.cost, kNoStage});
        stages_.clear();
        for (std::size_t kind = 0; kind < num_kinds_; ++kind)
        {
            running_[kind].clear();
            starting_[kind].clear();
        }

        for (std::size_t kind = 0; kind < num_kinds_; ++kind)
            if (stage_limits_.may_enter(kind))
                start(0, kind, cost_.enter(kind), latency_.enter(kind), {});
        merge_starts();
        for (cut_ = 1; cut_ < num_operators_; ++cut_)
        {
            for (std::size_t kind = 0; kind < num_kinds_; ++kind)
                for (auto &label : running_[kind])
                {
                    label.cost += cost_.step(cut_ - 1, kind);
                    label.latency += latency_.step(cut_ - 1, kind);
                }
            for (std::size_t kind = 0; kind < num_kinds_; ++kind)
                for (auto const &label : running_[kind])
                {
                    if (++looks_ % kLabelsBetweenLooks == 0 && out_of_time())
                        return false;
                    hop(label, kind);
                }
            if (stages_.size() > kMostStages)
                return false;
            for (std::size_t kind = 0; kind < num_kinds_; ++kind)
                std::erase_if(running_[kind],
                              [&](Label const &label)
                              { return !may_run_on(label, kind); });
            merge_starts();
            if (narrow_)
                keep_most_promising();
        }
        explored_ = Explored::all;
        for (auto const &point : found_.points())
            if (point.id != kNoStage)
                add_overused(trace_back(point.id));
        return true;
    }

    void start(std::size_t cut,
               std::size_t kind,
               double cost,
               double latency,
               Uptake const &so_far)
    {
        auto const after = states_.next(so_far.state, kind);
        if (after == UseStates::kNone || !uses_.left(so_far.used, kind))
            return;
        auto const farthest = stage_limits_.farthest(cut, kind);
        auto const every = narrow_ ? narrow_->states.next(so_far.every, kind) : 0;
        if (narrow_ && farthest < narrow_->viability.first_cut(every))
            return;
        if (!open(cost,
                  latency,
                  [&](CostToGo const &to_go) { return to_go.run(cut, kind, after); }))
            return;
        Label const label{cost + cost_.overhead(kind),
                          latency + latency_.overhead(kind),
                          uses_.with(so_far.used, kind),
                          after,
                          every,
                          static_cast<std::uint32_t>(farthest),
                          static_cast<std::uint32_t>(stages_.size())};
        for (auto const *rivals : {&running_[kind], &starting_[kind]})
            for (auto const &rival : *rivals)
                if (matches(rival, label))
                    return;
        std::erase_if(starting_[kind],
                      [&](Label const &rival) { return matches(label, rival); });
        starting_[kind].push_back(label);
        stages_.push_back({static_cast<std::uint32_t>(cut),
                           static_cast<std::uint32_t>(kind),
                           so_far.stage});
        if (label.farthest == num_operators_ && stage_limits_.may_leave(kind))
            finish(label, cut, kind);
    }

    // Started stages join those that run, but those they match or beat.
    void merge_starts()
    {
        for (std::size_t kind = 0; kind < num_kinds_; ++kind)
        {
            auto &running = running_[kind];
            auto &starting = starting_[kind];
            std::erase_if(running,
                          [&](Label const &label)
                          {
                              return std::any_of(starting.begin(),
                                                 starting.end(),
                                                 [&](Label const &rival)
                                                 { return matches(rival, label); });
                          });
            running.insert(running.end(), starting.begin(), starting.end());
            starting.clear();
        }
    }

    [[nodiscard]] bool matches(Label const &a, Label const &b) const
    {
        return a.cost <= b.cost + cost_tie_ && uses_.within(a.used, b.used)
               && (!bound_latency_ || a.latency <= b.latency + latency_tie_)
               && a.farthest >= b.farthest;
    }

    void hop(Label const &label, std::size_t kind)
    {
        if (narrow_ && cut_ < narrow_->viability.first_cut(label.every))
            return;
        if (!open(label.cost,
                  label.latency,
                  [&](CostToGo const &to_go)
                  { return to_go.hop(cut_, kind, label.state); }))
            return;
        for (std::size_t next = 0; next < num_kinds_; ++next)
            if (stage_limits_.may_hop(cut_, kind, next))
                start(cut_,
                      next,
                      label.cost + cost_.transfer(cut_, kind, next),
                      label.latency + latency_.transfer(cut_, kind, next),
                      {label.used, label.state, label.every, label.stage});
    }

    // A stage that started here could stop wherever this one can, and farther.
    [[nodiscard]] bool may_run_on(Label const &label, std::size_t kind) const
    {
        return label.farthest > cut_
               && open(label.cost - cost_.overhead(kind),
                       label.latency - latency_.overhead(kind),
                       [&](CostToGo const &to_go)
                       { return to_go.run(cut_, kind, label.state); });
    }

    // Completes a plan on the node that it is on, where latency permits.
    void finish(Label const &label, std::size_t cut, std::size_t kind)
    {
        auto const whole = [&](ChainCosts const &costs, double so_far)
        { return so_far + costs.rest(cut, kind) + costs.leave(kind); };
        auto const latency = whole(latency_, label.latency);
        if (latency <= limits_.slo_ms
            && found_.insert({latency, whole(cost_, label.cost), label.stage}))
            keep(trace_back(label.stage));
    }

    // Whether something could still come of a plan so far, of which `rest` says what
    // is still to come at least.
    template <typename Rest>
    [[nodiscard]] bool open(double cost, double latency, Rest const &rest) const
    {
        auto const least_cost = cost + rest(*cost_to_go_);
        if (!bound_latency_)
            return least_cost < found_.least_cost();
        auto const inside = [&](double cost_below, double latency_below)
        {
            return std::all_of(duals_.begin(),
                               duals_.end(),
                               [&](Dual const &dual)
                               {
                                   return cost + dual.price * latency + rest(dual.to_go)
                                          < cost_below + dual.price * latency_below;
                               });
        };
        return found_.has_room(latency + rest(*latency_to_go_),
                               least_cost,
                               limits_.slo_ms * kRoundingSlack,
                               inside);
    }

    // Takes a plan up that can be: notes what it overuses, else keeps it if nothing
    // kept is as good. Whether it can be.
    bool keep(Partition const &plan)
    {
        auto const latency = total(latency_, plan);
        if (add_overused(plan) || latency > limits_.slo_ms)
            return false;
        auto const id = static_cast<std::uint32_t>(plans_.size());
        if (kept_.insert({latency, total(cost_, plan), id}))
            plans_.push_back(plan);
        return true;
    }

    // Whether there was any.
    bool add_overused(Partition const &plan)
    {
        auto const overused = resources_.overused(plan.kinds);
        for (auto const resource : overused)
            if (std::find(overused_.begin(), overused_.end(), resource)
                == overused_.end())
                overused_.push_back(resource);
        return !overused.empty();
    }

    [[nodiscard]] std::size_t most_states() const
    {
        auto const tables = whole_front_ ? kMostPrices + 2 : bound_latency_ ? 3u : 1u;
        return kMostNumbers / (num_operators_ * num_kinds_ * tables);
    }

    // Whether the tables have room for something that is overused.
    [[nodiscard]] bool may_track() const
    {
        auto states = states_;
        return std::any_of(overused_.begin(),
                           overused_.end(),
                           [&](std::size_t resource)
                           { return states.track(resource, most_states()); });
    }

    // False when nothing is left to track, or no time to.
    bool track_overused()
    {
        auto any = false;
        auto more = false;
        auto states = states_;
        for (auto const resource : overused_)
        {
            any |= uses_.track(resource);
            more |= states.track(resource, most_states());
        }
        return more ? make_tables(std::move(states)) : any;
    }

    // False when cut short: then those of fewer states stay.
    bool make_tables(UseStates states)
    {
        // Those at a price are of no use any more.
        duals_.clear();
        CostToGo cost_to_go(cost_, stage_limits_, states, &deadline_);
        if (!cost_to_go.finished())
            return false;
        if (bound_latency_)
        {
            CostToGo latency_to_go(latency_, stage_limits_, states, &deadline_);
            if (!latency_to_go.finished())
                return false;
            latency_to_go_ = std::move(latency_to_go);
        }
        cost_to_go_ = std::move(cost_to_go);
        states_ = std::move(states);
        return true;
    }

    // Of a table that promises one.
    [[nodiscard]] Partition best_plan(ChainCosts const &costs,
                                      CostToGo const &to_go) const
    {
        return *to_go.plan(costs, stage_limits_, states_);
    }

    [[nodiscard]] Partition trace_back(std::uint32_t id) const
    {
        Partition plan{};
        plan.stops.push_back(static_cast<std::int64_t>(num_operators_));
        for (auto i = id; i != kNoStage; i = stages_[i].before)
        {
            plan.kinds.push_back(stages_[i].kind);
            if (stages_[i].cut > 0)
                plan.stops.push_back(stages_[i].cut);
        }
        std::reverse(plan.stops.begin(), plan.stops.end());
        std::reverse(plan.kinds.begin(), plan.kinds.end());
        return plan;
    }

    [[nodiscard]] Found answer(bool proven)
    {
        if (!proven && is_promising())
            look_for_good_ones();
        Found found{{}, proven, proven ? 0.0 : gap()};
        for (auto const &point : kept_.points())
        {
            found.plans.push_back(plans_[point.id]);
            found.plans.back().value = point.cost;
        }
        sum_up(chain_, latency_, found.plans);
        return found;
    }

    // Where memory is short a good plan, or any, is hard to come by for a search that
    // would leave none better: one that is cut short goes on narrowly. Where it is not,
    // a rough plan is easy to come by.
    void look_for_good_ones()
    {
        auto const some = keep_rough_plans();
        UseStates states(resources_);
        Uses uses(resources_);
        auto room = states.track_kinds(kMostNarrowStates);
        for (std::size_t kind = 0; kind < num_kinds_; ++kind)
            room = room && uses.track(kind);
        room = room && uses.track(resources_.stages());
        if (room && (!whole_front_ || !some) && (!bound_latency_ || latency_to_go_))
        {
            Viability viability(stage_limits_, states, num_operators_, num_kinds_);
            narrow_ = {std::move(states), std::move(viability)};
            uses_ = uses;
            explore(kInfinity);
            explored_ = Explored::nothing;
        }
        if (!kept_.points().empty())
            return;
        auto limits = limits_;
        limits.time_limit_s = kSecondsForAny;
        for (auto const &plan : most_throughput(chain_, limits).plans)
            keep(plan);
    }

    // Whether any plan is kept.
    bool keep_rough_plans()
    {
        for (auto const *costs : {&cost_, &latency_})
            if (auto const plan = rough_plan(*costs, stage_limits_, resources_))
                keep(*plan);
        return !kept_.points().empty();
    }

    void keep_most_promising()
    {
        for (std::size_t kind = 0; kind < num_kinds_; ++kind)
        {
            auto &running = running_[kind];
            if (running.size() <= kNarrow)
                continue;
            auto const promise = [&](Label const &label)
            { return label.cost + cost_to_go_->run(cut_, kind, label.state); };
            std::stable_sort(running.begin(),
                             running.end(),
                             [&](Label const &a, Label const &b)
                             { return promise(a) < promise(b); });
            running.resize(kNarrow);
        }
    }

    [[nodiscard]] static double time_for_good(Limits const &limits)
    {
        return std::isinf(limits.time_limit_s)
                   ? 0.0
                   : std::min(kShareForGood * limits.time_limit_s, kMostSecondsForGood);
    }

    [[nodiscard]] bool out_of_time() const
    {
        return narrow_ ? last_deadline_.passed()
                       : deadline_.passed() || (half_.passed() && !is_promising());
    }

    // Whether what was found is as quick as hoped for.
    [[nodiscard]] bool is_promising() const
    {
        return std::isinf(hoped_ms_)
               || (!kept_.points().empty()
                   && kept_.points().front().latency <= hoped_ms_);
    }

    // How much better than all plans kept one may be: in cost, or for a front in
    // latency and cost at once.
    [[nodiscard]] double gap() const
    {
        auto const share_below = [](double value, double bound)
        { return value > 0.0 ? std::clamp(1.0 - bound / value, 0.0, 1.0) : 0.0; };
        if (!whole_front_)
            return kept_.points().empty() ? 1.0
                                          : share_below(kept_.least_cost(), lower_);
        auto widest = 0.0;
        auto const widen = [&](double latency, double cost)
        {
            auto least = 1.0;
            for (auto const &point : kept_.points())
                least = std::min(least,
                                 std::max(share_below(point.cost, cost),
                                          share_below(point.latency, latency)));
            widest = std::max(widest, least);
        };
        // What is still to come of the labels that run, if a search was cut short on
        // its way; else of any plan.
        if (explored_ == Explored::nothing)
        {
            widen(latency_to_go_->whole(), cost_to_go_->whole());
            return widest;
        }
        if (explored_ == Explored::part)
            for (std::size_t kind = 0; kind < num_kinds_; ++kind)
                for (auto const &label : running_[kind])
                {
                    auto const rest = [&](CostToGo const &to_go, double overhead)
                    {
                        return std::min(to_go.hop(cut_, kind, label.state),
                                        to_go.run(cut_, kind, label.state) - overhead);
                    };
                    widen(label.latency
                              + rest(*latency_to_go_, latency_.overhead(kind)),
                          label.cost + rest(*cost_to_go_, cost_.overhead(kind)));
                }
        for (auto const &point : found_.points())
            widen(point.latency, point.cost);
        return widest;
    }

    Chain chain_;
    Prices prices_;
    Limits limits_;
    double hoped_ms_;
    Deadline half_;
    Deadline deadline_;
    Deadline last_deadline_;
    std::size_t num_operators_;
    std::size_t num_kinds_;
    bool whole_front_;
    bool bound_latency_;
    ChainCosts latency_;
    ChainCosts cost_;
    double latency_tie_ = 0.0;
    double cost_tie_ = 0.0;
    StageLimits stage_limits_;
    Resources resources_;
    Uses uses_;        // all that is tracked
    UseStates states_; // of it, what the tables have room for
    std::optional<CostToGo> cost_to_go_;
    std::optional<CostToGo> latency_to_go_;
    std::vector<Dual> duals_;
    double lower_ = 0.0; // no plan costs less

    std::optional<Narrow> narrow_;
    Explored explored_ = Explored::nothing;
    std::size_t cut_ = 0;
    std::vector<std::vector<Label>> running_;  // per kind
    std::vector<std::vector<Label>> starting_; // per kind, at this cut
    std::vector<StageStart> stages_;
    std::size_t looks_ = 0;
    Archive found_; // by stage; overusing or not
    Archive kept_;  // by plan; what can be
    std::vector<Partition> plans_;
    std::vector<std::size_t> overused_;
};
} // namespace

Found least(Chain const &chain, Prices const &prices, Limits const &limits)
{
    return LabelSearch(chain, prices, limits, false).run();
}

Found front(Chain const &chain, Prices const &prices, Limits const &limits)
{
    return LabelSearch(chain, prices, limits, true).run();
}
} // namespace carbonedge
