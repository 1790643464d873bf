#pragma once

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

namespace carbonedge
{
/// A counter's file cannot be opened or read; the code is the system's.
class CounterFileError : public std::system_error
{
public:
    CounterFileError(std::filesystem::path path, int error)
        : std::system_error(error, std::generic_category(), path.string()),
          path_(std::move(path))
    {
    }

    [[nodiscard]] std::filesystem::path const &path() const { return path_; }

private:
    std::filesystem::path path_;
};

/// A counter's file holds something else than a number.
class CounterTextError : public std::runtime_error
{
    using std::runtime_error::runtime_error;
};

/// Where a counter stands, and the range after which it begins again at 0; a range of 0
/// where it never does.
struct CounterFile
{
    std::filesystem::path path;
    std::uint64_t range;
};

/// Closes a file when it goes.
class Descriptor
{
public:
    explicit Descriptor(std::filesystem::path const &path);
    Descriptor(Descriptor &&other) noexcept;
    Descriptor &operator=(Descriptor &&) = delete;
    ~Descriptor();

    [[nodiscard]] int number() const { return number_; }

private:
    int number_;
};

/// Counters that the kernel shows as files of one unsigned integer each, such as RAPL's
/// energy_uj. The files are opened once. Safe for use from several threads.
class Counters
{
public:
    /// Opens all and counts from what they hold. Throws CounterFileError or
    /// CounterTextError.
    explicit Counters(std::vector<CounterFile> const &files);

    /// How much each has risen since it was made, in its own unit: exact for 2^64 of
    /// them, which are 580,000 years of a kilowatt in microjoules. A counter that fell
    /// has wrapped, once; one that fell by more than its range, or has none, was set
    /// back, and goes on from there: what it rose by in between is not known.
    ///
    /// Throws CounterFileError or CounterTextError where one cannot be read, and
    /// changes nothing, so that the next read makes up for it; std::invalid_argument
    /// once closed.
    [[nodiscard]] std::vector<std::uint64_t> read();

    /// Closes the files. Any number of times.
    void close();

private:
    struct Counter
    {
        std::filesystem::path path;
        std::uint64_t range;
        Descriptor file;
        std::uint64_t last = 0;
        std::uint64_t total = 0;
    };

    bool closed_ = false;
    std::vector<Counter> counters_;
    std::vector<std::uint64_t> now_; // of the read in hand
    std::mutex mutex_;
};
} // namespace carbonedge
