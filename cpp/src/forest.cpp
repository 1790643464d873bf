#include "carbonedge/forest.hpp"

#include <algorithm>

namespace carbonedge
{
namespace
{
constexpr std::size_t kMostTrees = 8;
constexpr std::size_t kMostSightings = 32;
// A tree costs about as much as this many scans.
constexpr std::uint64_t kScansPerTree = 3;
// And as bringing one in so many blocks up to date.
constexpr std::size_t kChangesPerTree = 4;
constexpr std::size_t kMostTouches = 8;
} // namespace

Tree *Forest::find(std::span<Block const> blocks, Demand const &demand)
{
    ++now_;
    touches_ = 0;
    for (auto planted = trees_.begin(); planted != trees_.end(); ++planted)
        if (planted->tree.demand() == demand)
            return use(blocks, planted);
    if (!trees_.empty() && !deserves_tree(demand))
        return nullptr;
    return plant(blocks, demand);
}

Tree *Forest::find_below(std::span<Block const> blocks, Demand const &demand)
{
    for (auto planted = trees_.begin(); planted != trees_.end(); ++planted)
        if (planted->tree.demand().cpu <= demand.cpu
            && planted->tree.demand().memory <= demand.memory)
            return use(blocks, planted);
    return plant(blocks, {0.0, 0.0});
}

Tree *Forest::plant(std::span<Block const> blocks, Demand const &demand)
{
    if (trees_.size() == kMostTrees)
        trees_.pop_back();
    trees_.push_front({Tree(blocks, demand), now_, {}});
    return &trees_.front().tree;
}

Tree *Forest::use(std::span<Block const> blocks, std::list<Planted>::iterator planted)
{
    planted->last_use = now_;
    catch_up(blocks, *planted);
    trees_.splice(trees_.begin(), trees_, planted);
    return &trees_.front().tree;
}

void Forest::catch_up(std::span<Block const> blocks, Planted &planted)
{
    if (planted.outdated)
        planted.tree = Tree(blocks, planted.tree.demand());
    else
        for (auto const index : planted.changed)
            planted.tree.refresh(blocks[index], index);
    planted.changed.clear();
    planted.outdated = false;
}

// Whether enough scans were spent on a demand to pay for a tree and, where one must
// go for it, since the last use of that.
bool Forest::deserves_tree(Demand const &demand)
{
    auto const since = trees_.size() == kMostTrees ? trees_.back().last_use : 0;
    auto seen = std::find_if(sightings_.begin(),
                             sightings_.end(),
                             [&](Sighting const &s) { return s.demand == demand; });
    if (seen == sightings_.end())
    {
        if (sightings_.size() == kMostSightings)
            sightings_.erase(sightings_.begin());
        sightings_.push_back({demand, now_, 1});
        return false;
    }
    if (seen->first < since)
        *seen = {demand, now_, 0};
    if (++seen->count <= kScansPerTree)
        return false;
    sightings_.erase(seen);
    return true;
}

void Forest::touch(std::span<Block const> blocks, std::size_t index)
{
    // The tree in use is kept ready, so that the next decision need not wait for it;
    // but where very many nodes change at once, all wait to be made anew.
    ++touches_;
    for (auto &planted : trees_)
    {
        auto &changed = planted.changed;
        auto const ready = &planted == &trees_.front() && touches_ <= kMostTouches;
        if (ready && changed.empty() && !planted.outdated)
            planted.tree.refresh(blocks[index], index);
        else if (changed.size() < blocks.size() / kChangesPerTree)
            changed.push_back(index);
        else
            planted.outdated = true;
    }
}

void Forest::outdate()
{
    for (auto &planted : trees_)
        planted.outdated = true;
}

void Forest::clear()
{
    trees_.clear();
    sightings_.clear();
}
} // namespace carbonedge
