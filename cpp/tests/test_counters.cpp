#include "carbonedge/counters.hpp"

#include <doctest/doctest.h>

#include <barrier>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

using namespace carbonedge;

namespace
{
using Totals = std::vector<std::uint64_t>;

/// A folder of counters, gone at the end.
class Folder
{
public:
    Folder()
        : path_(std::filesystem::temp_directory_path()
                / ("carbonedge-counters-" + std::to_string(::getpid())))
    {
        std::filesystem::create_directory(path_);
    }
    Folder(Folder const &) = delete;
    ~Folder() { std::filesystem::remove_all(path_); }

    [[nodiscard]] std::filesystem::path file(std::string const &name) const
    {
        return path_ / name;
    }

    void write(std::string const &name, std::string const &text) const
    {
        std::ofstream(file(name)) << text;
    }

private:
    std::filesystem::path path_;
};

std::size_t open_files()
{
    auto count = std::size_t{0};
    for (auto const &entry : std::filesystem::directory_iterator("/proc/self/fd"))
        count += entry.is_symlink();
    return count;
}
} // namespace

TEST_CASE("counters count from when they were made, each by itself")
{
    Folder const folder;
    folder.write("a", "1000\n");
    folder.write("b", "7");
    Counters counters({{folder.file("a"), 0}, {folder.file("b"), 10}});
    CHECK(counters.read() == Totals{0, 0});
    folder.write("a", "1250\n");
    folder.write("b", "9");
    CHECK(counters.read() == Totals{250, 2});
}

TEST_CASE("wraps lose nothing")
{
    constexpr std::uint64_t kRange = 262'143'328'850;
    Folder const folder;
    std::mt19937_64 random(1);
    auto truth = random() % kRange;
    auto const start = truth;
    folder.write("a", std::to_string(truth));
    Counters counters({{folder.file("a"), kRange}});
    for (auto step = 0; step < 200; ++step)
    {
        truth += random() % kRange;
        folder.write("a", std::to_string(truth % kRange) + "\n");
        CHECK(counters.read() == Totals{truth - start});
    }
    CHECK(truth > 50 * kRange);
}

TEST_CASE("a counter that was set back goes on from there")
{
    Folder const folder;
    for (std::uint64_t const range : {0, 50})
    {
        folder.write("a", "100");
        Counters counters({{folder.file("a"), range}});
        folder.write("a", "130");
        CHECK(counters.read() == Totals{30});
        folder.write("a", "20");
        CHECK(counters.read() == Totals{30});
        folder.write("a", "25");
        CHECK(counters.read() == Totals{35});
    }
}

TEST_CASE("the largest number is one, and nothing longer")
{
    Folder const folder;
    folder.write("a", "0");
    Counters counters({{folder.file("a"), 0}});
    folder.write("a", "18446744073709551615\n");
    CHECK(counters.read() == Totals{~std::uint64_t{0}});
    auto const overlong = "1" + std::string(31, ' ');
    for (auto const &text : {std::string(),
                             std::string("\n"),
                             std::string("-1"),
                             std::string("+1"),
                             std::string(" 1"),
                             std::string("1 2"),
                             std::string("1.5"),
                             std::string("0x1"),
                             std::string("one"),
                             std::string("18446744073709551616"),
                             overlong})
    {
        folder.write("a", text);
        CHECK_THROWS_AS((void)counters.read(), CounterTextError);
    }
}

TEST_CASE("a read that fails changes no counter, and the next makes up for it")
{
    Folder const folder;
    folder.write("a", "90");
    folder.write("b", "90");
    Counters counters({{folder.file("a"), 100}, {folder.file("b"), 100}});
    folder.write("a", "95");
    folder.write("b", "");
    CHECK_THROWS_AS((void)counters.read(), CounterTextError);
    folder.write("a", "5");
    folder.write("b", "6");
    CHECK(counters.read() == Totals{15, 16});
}

TEST_CASE("what cannot be opened or read is named, and nothing stays open")
{
    Folder const folder;
    folder.write("a", "1");
    auto const before = open_files();
    auto const error_of = [&](std::filesystem::path const &path)
    {
        try
        {
            Counters const counters({{folder.file("a"), 0}, {path, 0}});
        }
        catch (CounterFileError const &error)
        {
            CHECK(error.path() == path);
            return error.code().value();
        }
        return 0;
    };
    CHECK(error_of(folder.file("none")) == ENOENT);
    CHECK(error_of(folder.file("")) == EISDIR);
    CHECK(open_files() == before);
}

TEST_CASE("files are closed once, by close or by the end")
{
    Folder const folder;
    folder.write("a", "1");
    auto const before = open_files();
    {
        Counters counters({{folder.file("a"), 0}, {folder.file("a"), 0}});
        CHECK(open_files() == before + 2);
    }
    CHECK(open_files() == before);
    Counters counters({{folder.file("a"), 0}});
    counters.close();
    counters.close();
    CHECK(open_files() == before);
    CHECK_THROWS_AS((void)counters.read(), std::invalid_argument);
}

TEST_CASE("threads that read one set of counters count each wrap once")
{
    constexpr std::uint64_t kRange = 1'000;
    constexpr auto kSteps = 500;
    Folder const folder;
    folder.write("a", "0");
    Counters counters({{folder.file("a"), kRange}});
    // What is written while none reads is read by all at once.
    std::barrier turn(3);
    auto const watch = [&]
    {
        std::uint64_t last = 0;
        for (auto step = 0; step < kSteps; ++step)
        {
            turn.arrive_and_wait();
            auto const now = counters.read().front();
            CHECK_GT(now, last);
            last = now;
            turn.arrive_and_wait();
        }
    };
    std::thread first(watch);
    std::thread second(watch);
    std::uint64_t truth = 0;
    for (auto step = 0; step < kSteps; ++step)
    {
        truth += 700;
        folder.write("a", std::to_string(truth % kRange));
        turn.arrive_and_wait();
        turn.arrive_and_wait();
    }
    first.join();
    second.join();
    CHECK(counters.read() == Totals{truth});
}
