#pragma once

#include <atomic>
#include <mutex>
#include <thread>

namespace carbonedge
{
/// A mutex whose holder can make way: one that locks it again and again otherwise keeps
/// out for long all that wait. Costs no more than a mutex where none waits.
class FairMutex
{
public:
    void lock()
    {
        if (mutex_.try_lock())
            return;
        waiting_.fetch_add(1, std::memory_order_relaxed);
        mutex_.lock();
        waiting_.fetch_sub(1, std::memory_order_relaxed);
    }
    void unlock() { mutex_.unlock(); }

    /// To be called between two locks: returns when none waits any more.
    void let_others_in() const
    {
        while (waiting_.load(std::memory_order_relaxed) > 0)
            std::this_thread::yield();
    }

private:
    std::mutex mutex_;
    std::atomic<int> waiting_{0};
};
} // namespace carbonedge
