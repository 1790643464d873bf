#pragma once

#include <chrono>
#include <cmath>

namespace carbonedge
{
/// A moment after which a search settles for what it has.
class Deadline
{
public:
    explicit Deadline(double limit_s)
        : limit_s_(limit_s), began_(std::chrono::steady_clock::now())
    {
    }

    [[nodiscard]] double left_s() const
    {
        std::chrono::duration<double> const spent =
            std::chrono::steady_clock::now() - began_;
        return limit_s_ - spent.count();
    }

    [[nodiscard]] bool passed() const
    {
        return std::isfinite(limit_s_) && left_s() <= 0.0;
    }

private:
    double limit_s_;
    std::chrono::steady_clock::time_point began_;
};
} // namespace carbonedge
