#pragma once

#include "carbonedge/chain.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace carbonedge
{
/// What stages use up: the nodes of each kind, and the number of stages a plan may
/// have. Resource k is kind k, resource N the stages.
class Resources
{
public:
    Resources(Chain const &chain, std::size_t max_stages);

    [[nodiscard]] std::size_t size() const { return limits_.size(); }
    [[nodiscard]] std::size_t stages() const { return limits_.size() - 1; }

    /// How often a plan may use a resource, at most L: then it is never short.
    [[nodiscard]] std::uint64_t limit(std::size_t resource) const
    {
        return limits_[resource];
    }

    /// What a plan with stages on nodes of these kinds uses more often than it may.
    [[nodiscard]] std::vector<std::size_t>
    overused(std::span<std::int64_t const> kinds) const;

private:
    std::vector<std::uint64_t> limits_;
};

/// What a partial plan has used, of those resources that are tracked: a field of bits
/// for each, below a guard bit, so that all fields of two plans are compared at once.
class Uses
{
public:
    explicit Uses(Resources const &resources)
        : resources_(resources), shift_(resources.size(), kNotTracked)
    {
    }

    /// False when it was tracked before or there is no room for it.
    bool track(std::size_t resource);

    /// Whether a stage on a node of this kind may be started.
    [[nodiscard]] bool left(std::uint64_t used, std::size_t kind) const
    {
        return below_limit(used, kind) && below_limit(used, resources_.stages());
    }

    /// What is used once it is.
    [[nodiscard]] std::uint64_t with(std::uint64_t used, std::size_t kind) const
    {
        return used + unit(kind) + unit(resources_.stages());
    }

    /// Whether a has used nothing more often than b.
    [[nodiscard]] bool within(std::uint64_t a, std::uint64_t b) const
    {
        return (((b | guards_) - a) & guards_) == guards_;
    }

private:
    static constexpr auto kNotTracked = std::numeric_limits<std::size_t>::max();

    [[nodiscard]] bool below_limit(std::uint64_t used, std::size_t resource) const
    {
        if (shift_[resource] == kNotTracked)
            return true;
        auto const limit = resources_.limit(resource);
        auto const mask = std::bit_ceil(limit + 1) - 1;
        return (used >> shift_[resource] & mask) < limit;
    }

    [[nodiscard]] std::uint64_t unit(std::size_t resource) const
    {
        return shift_[resource] == kNotTracked ? 0
                                               : std::uint64_t{1} << shift_[resource];
    }

    Resources resources_;
    std::vector<std::size_t> shift_;
    std::uint64_t guards_ = 0;
    std::size_t bits_ = 0;
};

/// The same for a few resources, numbered: each state is one combination of uses.
class UseStates
{
public:
    static constexpr auto kNone = std::numeric_limits<std::uint32_t>::max();

    explicit UseStates(Resources const &resources);

    /// False when it was tracked before or there would be more than `most` states.
    bool track(std::size_t resource, std::size_t most);

    /// Tracks all kinds of nodes; false, and nothing done, when one was tracked before
    /// or there would be more than `most` states.
    bool track_kinds(std::size_t most);

    [[nodiscard]] std::size_t size() const { return size_; }

    /// The state once a stage on a node of this kind is started, kNone if it may
    /// not be.
    [[nodiscard]] std::uint32_t next(std::uint32_t state, std::size_t kind) const
    {
        return next_[kind * size_ + state];
    }

private:
    void number();

    Resources resources_;
    std::vector<std::size_t> tracked_;
    std::size_t size_ = 1;
    std::vector<std::uint32_t> next_; // [N, states]
};
} // namespace carbonedge
