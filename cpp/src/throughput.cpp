// The most throughput, by asking again and again whether some plan has no stage and no
// transfer that takes longer than a given time.
#include "archive.hpp"
#include "cut_set.hpp"
#include "plan_totals.hpp"
#include "rough_plan.hpp"

#include "carbonedge/deadline.hpp"
#include "carbonedge/partition.hpp"
#include "carbonedge/stage_limits.hpp"
#include "carbonedge/uses.hpp"
#include "carbonedge/viability.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>
#include <optional>
#include <tuple>
#include <utility>

namespace carbonedge
{
namespace
{
using cut_set::Word;

constexpr std::size_t kMostStates = 1u << 17;
// Words in the sets of all states together: 8 bytes each, at most four times.
constexpr std::size_t kMostWords = 1u << 24;
constexpr std::size_t kItemsBetweenLooks = 64;
constexpr auto kNoRow = std::numeric_limits<std::uint32_t>::max();
// Sets of cuts kept for each number of stages when looking for good plans only.
constexpr std::size_t kNarrow = 512;
constexpr auto kNarrowLooks = 16;
constexpr auto kSecondsForAFirst = 1.0;
// Closer than this, the time just below the best plan's is tried.
constexpr auto kClose = 1e-3;
constexpr auto kAll = std::numeric_limits<std::size_t>::max();

// Cuts that plans reach, stage by stage: for each state of use and kind of node the
// set of stops that a last stage there may have.
class Reach
{
public:
    Reach(Chain const &chain, ChainCosts const &latency)
        : chain_(chain), latency_(latency), num_operators_(chain.num_operators()),
          num_kinds_(chain.num_kinds()),
          num_words_(cut_set::words_for(num_operators_ + 1))
    {
        rank_cuts();
    }

    // That sets of cuts have room for.
    [[nodiscard]] std::size_t most_states() const
    {
        return std::min(kMostStates, kMostWords / (num_kinds_ * num_words_));
    }

    // Whether the nodes could do it if nothing had to be moved between them, in no
    // stage longer than `part_ms`. Always asked before plan().
    [[nodiscard]] bool viable(double part_ms, UseStates const &states)
    {
        limits_.emplace(chain_, latency_, part_ms);
        viability_.emplace(*limits_, states, num_operators_, num_kinds_);
        return viability_->first_cut(0) == 0;
    }

    // A plan of the fewest stages without a part longer than what viable() was asked,
    // that heeds the resources which the states track; none if there is none, or if of
    // the sets reached with each number of stages only the `width` most advanced are
    // kept, or if the deadline passed.
    [[nodiscard]] std::optional<Partition> plan(UseStates const &states,
                                                std::size_t max_stages,
                                                std::size_t width,
                                                Deadline const &deadline)
    {
        auto const &limits = *limits_;
        prepare(limits, states.size());
        layers_.clear();
        auto &first = layers_.emplace_back();
        for (std::size_t kind = 0; kind < num_kinds_; ++kind)
        {
            auto const state = states.next(0, kind);
            if (!limits.may_enter(kind) || state == UseStates::kNone)
                continue;
            cut_set::insert(row(first, state, kind), 0);
        }
        for (std::size_t stages = 1;; ++stages)
        {
            run(layers_.back(), limits);
            for (auto const &item : layers_.back().items)
                if (cut_set::contains(stops(layers_.back(), item), num_operators_))
                    return trace_back(item, states);
            if (layers_.back().items.empty() || stages >= max_stages
                || deadline.passed())
                return std::nullopt;
            if (layers_.back().items.size() > width)
                narrow(layers_.back(), width);
            auto next = hop(layers_.back(), states, deadline);
            if (!next)
                return std::nullopt;
            layers_.push_back(std::move(*next));
        }
    }

private:
    struct Item
    {
        std::uint32_t state;
        std::uint32_t kind;
        std::uint32_t row; // of the layer's words
    };

    // All that can be reached with some number of stages, and not with fewer.
    struct Layer
    {
        std::vector<Item> items;
        std::vector<Word> words;
    };

    void prepare(StageLimits const &limits, std::size_t num_states)
    {
        slot_.assign(num_states * num_kinds_, kNoRow);
        seen_at_.assign(num_states * num_kinds_, kNoRow);
        seen_.clear();
        able_.assign(num_kinds_ * num_words_, 0);
        for (std::size_t kind = 0; kind < num_kinds_; ++kind)
            for (std::size_t start = 0; start < num_operators_; ++start)
                if (limits.farthest(start, kind) > start)
                    cut_set::insert(able_.data() + kind * num_words_, start);
        hops_.clear();
        for (std::size_t from = 0; from < num_kinds_; ++from)
            for (std::size_t to = 0; to < num_kinds_; ++to)
            {
                auto const end = std::partition_point(
                    lightest_.begin(),
                    lightest_.end(),
                    [&](std::size_t cut) { return limits.may_hop(cut, from, to); });
                hops_.push_back(static_cast<std::size_t>(end - lightest_.begin()));
            }
    }

    // Where a hop is quick enough it is so wherever less crosses.
    void rank_cuts()
    {
        lightest_.resize(num_operators_ - 1);
        std::iota(lightest_.begin(), lightest_.end(), std::size_t{1});
        std::stable_sort(lightest_.begin(),
                         lightest_.end(),
                         [&](std::size_t a, std::size_t b)
                         { return chain_.cut_mb[a] < chain_.cut_mb[b]; });
        light_.assign((lightest_.size() + 1) * num_words_, 0);
        for (std::size_t i = 0; i < lightest_.size(); ++i)
        {
            auto *set = light_.data() + (i + 1) * num_words_;
            std::copy_n(set - num_words_, num_words_, set);
            cut_set::insert(set, lightest_[i]);
        }
    }

    // Cuts at which a hop is quick enough.
    [[nodiscard]] Word const *hops(std::size_t from, std::size_t to) const
    {
        return light_.data() + hops_[from * num_kinds_ + to] * num_words_;
    }

    [[nodiscard]] Word *stops(Layer &layer, Item const &item)
    {
        return layer.words.data() + item.row * num_words_;
    }

    // The set of a state and kind in the layer that is being made.
    Word *row(Layer &layer, std::uint32_t state, std::size_t kind)
    {
        auto &slot = slot_[state * num_kinds_ + kind];
        if (slot == kNoRow)
        {
            slot = static_cast<std::uint32_t>(layer.items.size());
            layer.items.push_back({state, static_cast<std::uint32_t>(kind), slot});
            layer.words.resize(layer.words.size() + num_words_);
        }
        return layer.words.data() + slot * num_words_;
    }

    // Starts become stops, of which those stay that are new and leave no more to do
    // than the nodes left can.
    void run(Layer &layer, StageLimits const &limits)
    {
        std::vector<Word> reached(num_words_);
        std::vector<Item> kept;
        for (auto const &item : layer.items)
        {
            slot_[item.state * num_kinds_ + item.kind] = kNoRow;
            auto *set = stops(layer, item);
            std::fill(reached.begin(), reached.end(), Word{0});
            auto const *able = able_.data() + item.kind * num_words_;
            for (std::size_t word = 0; word < num_words_; ++word)
                set[word] &= able[word];
            // Of neighbouring starts the stops overlap.
            cut_set::each_run(
                set,
                num_words_,
                [&](std::size_t first, std::size_t last)
                {
                    cut_set::insert_range(
                        reached.data(), first + 1, limits.farthest(last, item.kind));
                });
            auto const viable = viability_->first_cut(item.state);
            auto *seen = seen_row(item);
            auto any = Word{0};
            for (std::size_t word = 0; word < num_words_; ++word)
            {
                auto fresh = reached[word] & ~seen[word];
                auto const lowest = word * cut_set::kWordBits;
                if (viable >= lowest + cut_set::kWordBits)
                    fresh = 0;
                else if (viable > lowest)
                    fresh &= ~Word{0} << (viable - lowest);
                set[word] = fresh;
                seen[word] |= fresh;
                any |= fresh;
            }
            if (!limits.may_leave(item.kind))
                set[num_operators_ / cut_set::kWordBits] &=
                    ~(Word{1} << num_operators_ % cut_set::kWordBits);
            if (any != 0)
                kept.push_back(item);
        }
        layer.items = std::move(kept);
    }

    // The most advanced are farthest beyond where the nodes left must take over.
    void narrow(Layer &layer, std::size_t width)
    {
        auto const advance = [&](Item const &item)
        {
            auto const last = cut_set::last(stops(layer, item), num_words_);
            return static_cast<std::ptrdiff_t>(last)
                   - static_cast<std::ptrdiff_t>(viability_->first_cut(item.state));
        };
        std::vector<std::pair<std::ptrdiff_t, Item>> ranked;
        for (auto const &item : layer.items)
            ranked.emplace_back(advance(item), item);
        std::stable_sort(ranked.begin(),
                         ranked.end(),
                         [](auto const &a, auto const &b)
                         { return a.first > b.first; });
        layer.items.clear();
        for (std::size_t i = 0; i < width; ++i)
            layer.items.push_back(ranked[i].second);
    }

    // None when cut short.
    [[nodiscard]] std::optional<Layer>
    hop(Layer &from, UseStates const &states, Deadline const &deadline)
    {
        Layer layer;
        std::size_t looks = 0;
        for (auto const &item : from.items)
        {
            if (++looks % kItemsBetweenLooks == 0 && deadline.passed())
                return std::nullopt;
            auto const *set = stops(from, item);
            for (std::size_t next = 0; next < num_kinds_; ++next)
            {
                auto const after = states.next(item.state, next);
                if (after == UseStates::kNone)
                    continue;
                auto const *may = hops(item.kind, next);
                auto any = Word{0};
                for (std::size_t word = 0; word < num_words_; ++word)
                    any |= set[word] & may[word];
                if (any == 0)
                    continue;
                auto *starts = row(layer, after, next);
                for (std::size_t word = 0; word < num_words_; ++word)
                    starts[word] |= set[word] & may[word];
            }
        }
        return layer;
    }

    Word *seen_row(Item const &item)
    {
        auto &at = seen_at_[item.state * num_kinds_ + item.kind];
        if (at == kNoRow)
        {
            at = static_cast<std::uint32_t>(seen_.size() / num_words_);
            seen_.resize(seen_.size() + num_words_);
        }
        return seen_.data() + at * num_words_;
    }

    // From the last layer back to the first.
    [[nodiscard]] Partition trace_back(Item item, UseStates const &states)
    {
        Partition plan{};
        auto stop = num_operators_;
        for (auto layer = layers_.size(); layer-- > 0;)
        {
            plan.stops.push_back(static_cast<std::int64_t>(stop));
            plan.kinds.push_back(item.kind);
            if (layer == 0)
                break;
            std::tie(item, stop) = before(layers_[layer - 1], item, stop, states);
        }
        std::reverse(plan.stops.begin(), plan.stops.end());
        std::reverse(plan.kinds.begin(), plan.kinds.end());
        return plan;
    }

    // The stage before, and where it stopped.
    [[nodiscard]] std::pair<Item, std::size_t>
    before(Layer &layer, Item const &item, std::size_t stop, UseStates const &states)
    {
        for (auto const &other : layer.items)
        {
            if (states.next(other.state, item.kind) != item.state)
                continue;
            auto const *set = stops(layer, other);
            auto const *may = hops(other.kind, item.kind);
            for (std::size_t start = 1; start < stop; ++start)
                if (cut_set::contains(set, start) && cut_set::contains(may, start)
                    && limits_->farthest(start, item.kind) >= stop)
                    return {other, start};
        }
        assert(false && "a set of starts has what it came from");
        return {item, 0};
    }

    Chain chain_;
    ChainCosts const &latency_;
    std::size_t num_operators_;
    std::size_t num_kinds_;
    std::size_t num_words_;

    std::optional<StageLimits> limits_;
    std::optional<Viability> viability_;
    std::vector<Word> able_;            // [N, words], cuts from which a stage can run
    std::vector<std::size_t> lightest_; // cuts, by what crosses them
    std::vector<Word> light_;           // [L, words], so many of the lightest
    std::vector<std::size_t> hops_;     // [N, N], how many of those a hop may cross
    std::vector<Layer> layers_;
    std::vector<std::uint32_t> slot_;    // [states, N], in the layer being made
    std::vector<std::uint32_t> seen_at_; // [states, N], row of what fewer stages reach
    std::vector<Word> seen_;
};

class ThroughputSearch
{
public:
    ThroughputSearch(Chain const &chain,
                     Limits const &limits,
                     double lower = 0.0,
                     double hoped_ms = kInfinity)
        : chain_(chain), limits_(limits), hoped_ms_(hoped_ms),
          half_(limits.time_limit_s / 2.0), deadline_(limits.time_limit_s),
          first_deadline_(std::max(limits.time_limit_s, kSecondsForAFirst)),
          latency_(latency_of(chain)), resources_(chain, limits.max_stages),
          states_(resources_), reach_(chain_, latency_), lower_(lower), tried_(lower)
    {
    }

    Found run()
    {
        raise_lower();
        take_any();
        if (!best_)
            attempt(limits_.max_part_ms, kNarrow);
        if (!best_)
            attempt(limits_.max_part_ms, kAll);
        if (!best_)
            return {{}, sure_, sure_ ? 0.0 : 1.0};
        look_for_good_ones();
        auto just_below = false;
        while (tried_ < best_->bottleneck_ms / kTie && !until().passed())
        {
            auto const best = best_->bottleneck_ms;
            just_below = !just_below && best - tried_ <= kClose * best;
            attempt(just_below ? best / kTie : tried_ + (best - tried_) / 2.0, kAll);
        }
        auto const best = best_->bottleneck_ms;
        auto const proven = lower_ >= best / kTie;
        sum_up(chain_, latency_, {&*best_, 1});
        best_->value = best;
        return {{*best_}, proven, proven || best <= 0.0 ? 0.0 : 1.0 - lower_ / best};
    }

private:
    enum class Answer
    {
        found,
        none,
        unknown,
    };

    // Each operator runs somewhere, and as many stages as may be share all work.
    void raise_lower()
    {
        auto slowest = 0.0;
        auto sum = 0.0;
        for (std::size_t cut = 0; cut < chain_.num_operators(); ++cut)
        {
            auto step = kInfinity;
            auto stage = kInfinity;
            for (std::size_t kind = 0; kind < chain_.num_kinds(); ++kind)
            {
                step = std::min(step, latency_.step(cut, kind));
                stage =
                    std::min(stage, latency_.step(cut, kind) + latency_.overhead(kind));
            }
            slowest = std::max(slowest, stage);
            sum += step;
        }
        std::uint64_t nodes = 0;
        for (std::size_t kind = 0; kind < chain_.num_kinds(); ++kind)
            nodes += resources_.limit(kind);
        nodes = std::min(nodes, resources_.limit(resources_.stages()));
        lower_ =
            std::max({lower_, slowest / kTie, sum / static_cast<double>(nodes) / kTie});
        tried_ = lower_;
    }

    // A plan that is easy to come by.
    void take_any()
    {
        StageLimits const stage_limits(chain_, latency_, limits_.max_part_ms);
        auto plan = rough_plan(latency_, stage_limits, resources_);
        if (plan && total(latency_, *plan) <= limits_.slo_ms)
            take(std::move(*plan));
    }

    // Halves what lies between the best plan and what no plan betters, as if what is
    // not found at once were not there.
    void look_for_good_ones()
    {
        auto tried = lower_;
        for (auto i = 0; i < kNarrowLooks && !until().passed(); ++i)
        {
            auto const part_ms = tried + (best_->bottleneck_ms - tried) / 2.0;
            if (!attempt(part_ms, kNarrow))
                tried = part_ms;
        }
    }

    // Whether a plan was found. What is not found narrowly may still be there.
    bool attempt(double part_ms, std::size_t width)
    {
        auto const answer = within(part_ms, width);
        if (answer == Answer::none)
            lower_ = std::max(lower_, part_ms);
        else if (answer == Answer::unknown && width == kAll)
            sure_ = false;
        if (answer != Answer::found && (answer == Answer::none || width == kAll))
            tried_ = std::max(tried_, part_ms);
        return answer == Answer::found;
    }

    // Half of the time is enough unless the best is as quick as hoped for.
    [[nodiscard]] Deadline const &until() const
    {
        if (!best_)
            return first_deadline_;
        return total(latency_, *best_) <= hoped_ms_ ? deadline_ : half_;
    }

    // Whether a plan has no part longer than this: if one has, it becomes the best.
    Answer within(double part_ms, std::size_t width)
    {
        for (;;)
        {
            if (!reach_.viable(part_ms, states_))
                return Answer::none;
            auto plan = reach_.plan(states_, limits_.max_stages, width, until());
            if (!plan)
                return width < kAll || until().passed() ? Answer::unknown
                                                        : Answer::none;
            auto const overused = resources_.overused(plan->kinds);
            if (overused.empty())
                return total(latency_, *plan) <= limits_.slo_ms ? take(std::move(*plan))
                                                                : quickest(part_ms);
            if (!track(overused) || until().passed())
                return Answer::unknown;
        }
    }

    // Tracks all resources from the first time that one is overused, if there is room:
    // the more is tracked, the sooner what the nodes left cannot do is seen.
    bool track(std::vector<std::size_t> const &overused)
    {
        if (states_.track_kinds(reach_.most_states()))
            return true;
        auto any = false;
        for (auto const resource : overused)
            any |= states_.track(resource, reach_.most_states());
        return any;
    }

    // The same, of the plans that are quick enough as a whole.
    Answer quickest(double part_ms)
    {
        auto limits = limits_;
        limits.slo_ms = kInfinity;
        limits.max_part_ms = part_ms;
        limits.time_limit_s = until().left_s();
        auto found = least(chain_, {.per_ms = 1.0}, limits);
        if (!found.plans.empty() && found.plans.front().latency_ms <= limits_.slo_ms)
            return take(std::move(found.plans.front()));
        return found.proven ? Answer::none : Answer::unknown;
    }

    Answer take(Partition plan)
    {
        plan.bottleneck_ms = largest_part(latency_, plan);
        best_ = std::move(plan);
        return Answer::found;
    }

    Chain chain_;
    Limits limits_;
    double hoped_ms_;
    Deadline half_;
    Deadline deadline_;
    Deadline first_deadline_; // a first plan is worth waiting for
    ChainCosts latency_;
    Resources resources_;
    UseStates states_;
    Reach reach_;
    double lower_;     // no plan has a shorter longest part
    double tried_;     // and none was found that has
    bool sure_ = true; // that what was not found is not there
    std::optional<Partition> best_;
};
} // namespace

Found most_throughput(Chain const &chain, Limits const &limits)
{
    if (std::isinf(limits.slo_ms))
        return ThroughputSearch(chain, limits).run();
    // A target that stands in nobody's way makes nothing harder.
    Deadline const deadline(limits.time_limit_s);
    auto loose = limits;
    loose.slo_ms = kInfinity;
    auto found = ThroughputSearch(chain, loose, 0.0, limits.slo_ms).run();
    if (found.plans.empty() && found.proven)
        return found;
    auto lower = 0.0;
    if (!found.plans.empty())
    {
        auto const &plan = found.plans.front();
        if (plan.latency_ms <= limits.slo_ms)
            return found;
        lower = plan.value * (1.0 - found.gap) / kTie;
    }
    auto tight = limits;
    tight.time_limit_s = deadline.left_s();
    return ThroughputSearch(chain, tight, lower).run();
}
} // namespace carbonedge
