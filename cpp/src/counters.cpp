#include "carbonedge/counters.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <string_view>
#include <utility>

#ifndef _WIN32
#include <fcntl.h>
#include <unistd.h>
#endif

namespace carbonedge
{
namespace
{
constexpr auto kNone = -1;

// 20 digits are the longest number; what does not fit is none.
using Buffer = std::array<char, 32>;

#ifdef _WIN32
int open_file(std::filesystem::path const &path)
{
    throw CounterFileError(path, ENOTSUP);
}

void close_file(int) {}

std::string_view contents(int, std::filesystem::path const &, Buffer &)
{
    return {};
}
#else
int open_file(std::filesystem::path const &path)
{
    auto const number = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (number < 0)
        throw CounterFileError(path, errno);
    return number;
}

void close_file(int number)
{
    ::close(number);
}

// The kernel writes the value anew for each read from the start.
std::string_view contents(int file, std::filesystem::path const &path, Buffer &buffer)
{
    for (;;)
    {
        auto const size = ::pread(file, buffer.data(), buffer.size(), 0);
        if (size >= 0)
            return {buffer.data(), static_cast<std::size_t>(size)};
        if (errno != EINTR)
            throw CounterFileError(path, errno);
    }
}
#endif

std::uint64_t value(int file, std::filesystem::path const &path)
{
    Buffer buffer;
    auto const text = contents(file, path, buffer);
    std::uint64_t number = 0;
    auto const *const end = text.data() + text.size();
    auto const [stop, error] = std::from_chars(text.data(), end, number);
    auto const rest = std::string_view(stop, static_cast<std::size_t>(end - stop));
    if (error != std::errc{} || text.size() == buffer.size()
        || rest.find_first_not_of(" \t\r\n") != std::string_view::npos)
        throw CounterTextError(path.string() + " holds no unsigned integer of 64 bits");
    return number;
}

std::uint64_t rise(std::uint64_t last, std::uint64_t now, std::uint64_t range)
{
    if (now >= last)
        return now - last;
    auto const fall = last - now;
    return fall <= range ? range - fall : 0;
}
} // namespace

Descriptor::Descriptor(std::filesystem::path const &path) : number_(open_file(path)) {}

Descriptor::Descriptor(Descriptor &&other) noexcept
    : number_(std::exchange(other.number_, kNone))
{
}

Descriptor::~Descriptor()
{
    if (number_ != kNone)
        close_file(number_);
}

Counters::Counters(std::vector<CounterFile> const &files)
{
    counters_.reserve(files.size());
    for (auto const &[path, range] : files)
    {
        counters_.push_back({path, range, Descriptor(path)});
        auto &counter = counters_.back();
        counter.last = value(counter.file.number(), path);
    }
    now_.resize(counters_.size());
}

std::vector<std::uint64_t> Counters::read()
{
    std::scoped_lock const lock(mutex_);
    if (closed_)
        throw std::invalid_argument("these counters are closed: open them anew");
    std::transform(counters_.begin(),
                   counters_.end(),
                   now_.begin(),
                   [](Counter const &counter)
                   { return value(counter.file.number(), counter.path); });
    std::vector<std::uint64_t> totals(counters_.size());
    for (std::size_t i = 0; i < counters_.size(); ++i)
    {
        auto &counter = counters_[i];
        counter.total += rise(counter.last, now_[i], counter.range);
        counter.last = now_[i];
        totals[i] = counter.total;
    }
    return totals;
}

void Counters::close()
{
    std::scoped_lock const lock(mutex_);
    closed_ = true;
    counters_.clear();
}
} // namespace carbonedge
