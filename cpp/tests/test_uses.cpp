#include "random_chain.hpp"

#include "carbonedge/uses.hpp"

#include <doctest/doctest.h>

#include <random>
#include <vector>

using namespace carbonedge;

namespace
{
// Five operators; one node of kind 0, three of kind 1, seven of kind 2.
RandomChain example()
{
    std::mt19937 random(1);
    RandomChain chain(random, 5, 3);
    chain.count = {1, 3, 7};
    return chain;
}
} // namespace

TEST_CASE("a resource is never short beyond what a plan can use")
{
    auto const chain = example();
    Resources const resources(chain.chain(), 100);
    CHECK(resources.limit(1) == 3);
    CHECK(resources.limit(2) == 5);
    CHECK(resources.limit(resources.stages()) == 5);
}

TEST_CASE("what a plan overuses is named once")
{
    auto const chain = example();
    Resources const resources(chain.chain(), 4);
    CHECK(resources.overused(std::vector<std::int64_t>{0, 1, 1}).empty());
    CHECK(resources.overused(std::vector<std::int64_t>{0, 1, 0, 0})
          == std::vector<std::size_t>{0});
    CHECK(resources.overused(std::vector<std::int64_t>{0, 1, 2, 2, 2})
          == std::vector<std::size_t>{3});
}

TEST_CASE("uses count up to the limit, and compare field by field")
{
    auto const chain = example();
    Resources const resources(chain.chain(), 4);
    Uses uses(resources);
    for (std::size_t resource = 0; resource < resources.size(); ++resource)
    {
        CHECK(uses.track(resource));
        CHECK_FALSE(uses.track(resource));
    }
    std::uint64_t used = 0;
    CHECK(uses.left(used, 0));
    used = uses.with(used, 0);
    CHECK_FALSE(uses.left(used, 0));
    auto const more = uses.with(uses.with(used, 1), 1);
    CHECK(uses.left(more, 1));
    // The fourth stage is the last.
    CHECK_FALSE(uses.left(uses.with(more, 1), 2));
    CHECK(uses.within(used, more));
    CHECK_FALSE(uses.within(more, used));
    auto const other = uses.with(uses.with(0, 2), 2);
    CHECK_FALSE(uses.within(other, more));
    CHECK_FALSE(uses.within(more, other));
}

TEST_CASE("what is not tracked is never short")
{
    auto const chain = example();
    Uses const uses(Resources(chain.chain(), 4));
    CHECK(uses.with(0, 0) == 0);
    CHECK(uses.left(0, 0));
}

TEST_CASE("states number the combinations of uses")
{
    auto const chain = example();
    UseStates states(Resources(chain.chain(), 4));
    CHECK(states.size() == 1);
    CHECK(states.next(0, 0) == 0);
    CHECK(states.track(0, 100));
    CHECK_FALSE(states.track(0, 100));
    CHECK(states.track(1, 100));
    CHECK_FALSE(states.track(2, 40));
    CHECK(states.size() == 2 * 4);
    auto const used = states.next(0, 0);
    CHECK(states.next(used, 0) == UseStates::kNone);
    CHECK(states.next(used, 2) == used);
    auto state = used;
    for (auto i = 0; i < 3; ++i)
    {
        CHECK(states.next(state, 1) > state);
        state = states.next(state, 1);
    }
    CHECK(states.next(state, 1) == UseStates::kNone);
}

TEST_CASE("all kinds are told apart, or none where there is no room")
{
    auto const chain = example();
    UseStates states(Resources(chain.chain(), 4));
    // 2, 4 and 6 values.
    CHECK(!states.track_kinds(47));
    CHECK(states.size() == 1);
    CHECK(states.track_kinds(48));
    CHECK(states.size() == 48);
    CHECK(states.next(states.next(0, 0), 0) == UseStates::kNone);
    CHECK(!states.track_kinds(1000));
}
