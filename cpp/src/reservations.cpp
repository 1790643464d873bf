#include "carbonedge/reservations.hpp"

#include <algorithm>
#include <atomic>
#include <random>
#include <stdexcept>

namespace carbonedge
{
namespace
{
constexpr auto kSlotBits = 32;
constexpr auto kSlotMask = (Ticket{1} << kSlotBits) - 1;
constexpr std::size_t kMostSlots = std::size_t{1} << 26;

// At random first, so that no ticket of before a restart, which a restored table may
// have completed, is given again.
std::atomic<std::uint32_t> last_stamp{std::random_device{}()};

// 0 is left out, so that no ticket is 0.
Ticket next_stamp()
{
    auto const stamp = last_stamp.fetch_add(1, std::memory_order_relaxed) + 1;
    return stamp != 0 ? stamp : next_stamp();
}
} // namespace

Ticket Reservations::open(std::size_t index, Demand const &demand)
{
    if (vacant_.empty())
    {
        vacant_.push_back(slots_.size());
        slots_.emplace_back();
    }
    auto const slot = vacant_.back();
    vacant_.pop_back();
    auto const ticket = next_stamp() << kSlotBits | slot;
    slots_[slot] = {ticket, index, demand};
    return ticket;
}

Reservation Reservations::close(Ticket ticket)
{
    auto const slot = ticket & kSlotMask;
    if (ticket == 0 || slot >= slots_.size() || slots_[slot].ticket != ticket)
        throw std::invalid_argument(
            "this decision holds no reservation here: complete each decision "
            "once, on the scheduler that made it");
    vacant_.push_back(slot);
    auto const reservation = slots_[slot];
    slots_[slot].ticket = 0;
    return reservation;
}

void Reservations::forget_node(std::size_t index)
{
    for (auto &reservation : slots_)
        if (reservation.index == index)
            reservation.index = kNoNode;
}

std::vector<Reservation> Reservations::all() const
{
    std::vector<Reservation> result;
    for (auto const &reservation : slots_)
        if (reservation.ticket != 0)
            result.push_back(reservation);
    return result;
}

void Reservations::restore(std::vector<Reservation> const &reservations)
{
    std::size_t size = 0;
    for (auto const &reservation : reservations)
        size = std::max(size,
                        static_cast<std::size_t>(reservation.ticket & kSlotMask) + 1);
    if (size > kMostSlots)
        throw std::invalid_argument("a ticket names a slot beyond all that are kept");
    slots_.assign(size, Reservation{});
    for (auto const &reservation : reservations)
    {
        if (reservation.ticket == 0)
            continue;
        auto &slot = slots_[reservation.ticket & kSlotMask];
        if (slot.ticket != 0)
            throw std::invalid_argument("two tickets name one slot");
        slot = reservation;
    }
    vacant_.clear();
    for (auto slot = size; slot-- > 0;)
        if (slots_[slot].ticket == 0)
            vacant_.push_back(slot);
}
} // namespace carbonedge
