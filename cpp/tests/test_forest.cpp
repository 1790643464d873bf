// Which demands get a tree, and which keep it.
#include "carbonedge/forest.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace carbonedge;

namespace
{
Demand kind(int number)
{
    return {1.0 + number, 1.0};
}
} // namespace

TEST_CASE("the first demand gets a tree at once, another at its fourth task")
{
    std::vector<Block> const blocks(2);
    Forest forest;
    CHECK(forest.find(blocks, kind(0)) != nullptr);
    for (auto task = 0; task < 3; ++task)
        CHECK(forest.find(blocks, kind(1)) == nullptr);
    CHECK(forest.find(blocks, kind(1)) != nullptr);
    CHECK(forest.find(blocks, kind(0))->demand() == kind(0));
}

TEST_CASE("eight demands keep their trees, however often nine take turns")
{
    std::vector<Block> const blocks(2);
    Forest forest;
    for (auto number = 0; number < 8; ++number)
        for (auto task = 0; task < 4; ++task)
            (void)forest.find(blocks, kind(number));
    for (auto round = 0; round < 20; ++round)
    {
        for (auto number = 0; number < 8; ++number)
            CHECK(forest.find(blocks, kind(number)) != nullptr);
        CHECK(forest.find(blocks, kind(8)) == nullptr);
    }
    // Until one of them stays away.
    auto found = false;
    for (auto task = 0; task < 5; ++task)
        found |= forest.find(blocks, kind(8)) != nullptr;
    CHECK(found);
    CHECK(forest.find(blocks, kind(0)) == nullptr);
}

TEST_CASE("a tree below a demand is there for any")
{
    std::vector<Block> const blocks(2);
    Forest forest;
    (void)forest.find(blocks, kind(5));
    CHECK(forest.find_below(blocks, kind(7))->demand() == kind(5));
    CHECK(forest.find_below(blocks, kind(1))->demand() == Demand{0.0, 0.0});
}
