#include "carbonedge/uses.hpp"

#include <algorithm>

namespace carbonedge
{
namespace
{
constexpr std::size_t kMostBits = 62; // of a signed number, as the twin has it
}

Resources::Resources(Chain const &chain, std::size_t max_stages)
{
    auto const most = static_cast<std::uint64_t>(chain.num_operators());
    for (auto const count : chain.count)
        limits_.push_back(std::min(static_cast<std::uint64_t>(count), most));
    limits_.push_back(std::min(static_cast<std::uint64_t>(max_stages), most));
}

std::vector<std::size_t> Resources::overused(std::span<std::int64_t const> kinds) const
{
    std::vector<std::size_t> overused;
    std::vector<std::uint64_t> times(stages());
    for (auto const kind : kinds)
    {
        auto const resource = static_cast<std::size_t>(kind);
        if (++times[resource] == limit(resource) + 1)
            overused.push_back(resource);
    }
    if (kinds.size() > limit(stages()))
        overused.push_back(stages());
    return overused;
}

bool Uses::track(std::size_t resource)
{
    auto const width =
        static_cast<std::size_t>(std::bit_width(resources_.limit(resource)));
    if (shift_[resource] != kNotTracked || bits_ + width + 1 > kMostBits)
        return false;
    shift_[resource] = bits_;
    bits_ += width + 1;
    guards_ |= std::uint64_t{1} << (bits_ - 1);
    return true;
}

UseStates::UseStates(Resources const &resources) : resources_(resources)
{
    number();
}

bool UseStates::track(std::size_t resource, std::size_t most)
{
    auto const values = static_cast<std::size_t>(resources_.limit(resource)) + 1;
    if (size_ * values > most
        || std::find(tracked_.begin(), tracked_.end(), resource) != tracked_.end())
        return false;
    tracked_.push_back(resource);
    size_ *= values;
    number();
    return true;
}

bool UseStates::track_kinds(std::size_t most)
{
    auto size = size_;
    for (std::size_t kind = 0; kind < resources_.stages(); ++kind)
    {
        size *= static_cast<std::size_t>(resources_.limit(kind)) + 1;
        if (size > most
            || std::find(tracked_.begin(), tracked_.end(), kind) != tracked_.end())
            return false;
    }
    for (std::size_t kind = 0; kind < resources_.stages(); ++kind)
        tracked_.push_back(kind);
    size_ = size;
    number();
    return true;
}

void UseStates::number()
{
    auto const num_kinds = resources_.stages();
    next_.assign(num_kinds * size_, 0);
    for (std::size_t kind = 0; kind < num_kinds; ++kind)
        for (std::size_t state = 0; state < size_; ++state)
        {
            auto next = state;
            auto left = true;
            std::size_t stride = 1;
            for (auto const resource : tracked_)
            {
                auto const values =
                    static_cast<std::size_t>(resources_.limit(resource)) + 1;
                if (resource == kind || resource == resources_.stages())
                {
                    left = left && state / stride % values + 1 < values;
                    next += stride;
                }
                stride *= values;
            }
            next_[kind * size_ + state] =
                left ? static_cast<std::uint32_t>(next) : kNone;
        }
}
} // namespace carbonedge
