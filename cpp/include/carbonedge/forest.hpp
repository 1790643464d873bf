#pragma once

#include "carbonedge/block.hpp"
#include "carbonedge/tree.hpp"

#include <cstddef>
#include <cstdint>
#include <list>
#include <span>
#include <vector>

namespace carbonedge
{
/// A tree for each of the demands that come often. Tasks are mostly of a few kinds, and
/// kinds that fit a tree exactly are decided at once; what comes once is scanned.
class Forest
{
public:
    /// The tree for tasks of this demand, up to date, or null while the demand is too
    /// rare to pay for one. O(1), and O(nodes) where a tree is made.
    Tree *find(std::span<Block const> blocks, Demand const &demand);

    /// A tree, up to date, of a demand no greater than this.
    Tree *find_below(std::span<Block const> blocks, Demand const &demand);

    /// Tells that a block has changed or, just behind the last, is new. O(log nodes).
    void touch(std::span<Block const> blocks, std::size_t index);

    /// Tells that all blocks have changed. Each tree is made anew when it is next used.
    void outdate();

    void clear();

private:
    struct Planted
    {
        Tree tree;
        std::uint64_t last_use;
        std::vector<std::size_t> changed; // blocks that the tree has yet to see
        bool outdated = false;            // so many that it is to be made anew
    };
    struct Sighting
    {
        Demand demand;
        std::uint64_t first;
        std::uint64_t count;
    };

    Tree *plant(std::span<Block const> blocks, Demand const &demand);
    bool deserves_tree(Demand const &demand);
    Tree *use(std::span<Block const> blocks, std::list<Planted>::iterator planted);
    static void catch_up(std::span<Block const> blocks, Planted &planted);

    std::list<Planted> trees_; // the last used first
    std::vector<Sighting> sightings_;
    std::uint64_t now_ = 0;
    std::size_t touches_ = 0; // since a tree was last looked for
};
} // namespace carbonedge
