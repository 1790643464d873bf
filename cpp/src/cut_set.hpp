#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace carbonedge
{
/// A set of cuts, as bits in words that lie elsewhere.
namespace cut_set
{
using Word = std::uint64_t;
inline constexpr std::size_t kWordBits = 64;

[[nodiscard]] inline std::size_t words_for(std::size_t num_cuts)
{
    return (num_cuts + kWordBits - 1) / kWordBits;
}

inline void insert(Word *set, std::size_t cut)
{
    set[cut / kWordBits] |= Word{1} << cut % kWordBits;
}

[[nodiscard]] inline bool contains(Word const *set, std::size_t cut)
{
    return (set[cut / kWordBits] >> cut % kWordBits & 1) != 0;
}

/// Puts all of first..last in.
inline void insert_range(Word *set, std::size_t first, std::size_t last)
{
    for (auto word = first / kWordBits; word <= last / kWordBits; ++word)
    {
        auto bits = ~Word{0};
        if (word == first / kWordBits)
            bits &= ~Word{0} << first % kWordBits;
        if (word == last / kWordBits)
            bits &= ~Word{0} >> (kWordBits - 1 - last % kWordBits);
        set[word] |= bits;
    }
}

/// Calls `visit` with the first and last of each run of neighbouring cuts, rising. A
/// run may be told in parts.
template <typename Visit>
void each_run(Word const *set, std::size_t num_words, Visit const &visit)
{
    for (std::size_t word = 0; word < num_words; ++word)
        for (auto bits = set[word]; bits != 0;)
        {
            auto const first = static_cast<std::size_t>(std::countr_zero(bits));
            auto const length =
                static_cast<std::size_t>(std::countr_one(bits >> first));
            visit(word * kWordBits + first, word * kWordBits + first + length - 1);
            // Carries through the run.
            bits &= bits + (Word{1} << first);
        }
}

/// The last cut; 0 of an empty set.
[[nodiscard]] inline std::size_t last(Word const *set, std::size_t num_words)
{
    for (auto word = num_words; word-- > 0;)
        if (set[word] != 0)
            return word * kWordBits
                   + static_cast<std::size_t>(std::bit_width(set[word])) - 1;
    return 0;
}
} // namespace cut_set
} // namespace carbonedge
