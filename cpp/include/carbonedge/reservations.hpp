#pragma once

#include "carbonedge/block.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace carbonedge
{
/// Names a reservation until it is completed: its slot in the low half, in the high
/// half a stamp that no other reservation of this process has, of whatever table,
/// until 2^32 more were made. Never 0.
using Ticket = std::uint64_t;

/// Stands for a node that is no longer there.
inline constexpr auto kNoNode = static_cast<std::size_t>(-1);

/// What a task holds on a node.
struct Reservation
{
    Ticket ticket;
    std::size_t index; ///< of the node, or kNoNode
    Demand demand;
};

/// The reservations that were not completed yet.
class Reservations
{
public:
    Ticket open(std::size_t index, Demand const &demand);

    /// Throws std::invalid_argument, and changes nothing, for a ticket that is unknown
    /// or was closed before.
    Reservation close(Ticket ticket);

    /// Takes a node from under its reservations. O(reservations).
    void forget_node(std::size_t index);

    /// Oldest slot first.
    [[nodiscard]] std::vector<Reservation> all() const;

    /// Puts back what `all` gave, into an empty object; ticket 0 stands for what is
    /// never closed. Throws std::invalid_argument where two tickets share a slot, or
    /// one names a slot beyond 2^26.
    void restore(std::vector<Reservation> const &reservations);

private:
    std::vector<Reservation> slots_; // a vacant one has ticket 0
    std::vector<std::size_t> vacant_;
};
} // namespace carbonedge
