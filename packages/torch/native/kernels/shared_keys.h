// Sequences that begin with the same keys, as the texts of a tree do: what to look at together, so that those keys are read once.
#pragma once

#include <cstdint>
#include <vector>

namespace adapt {

// Queries that stand together, and their keys by their place in the list of keys of all sequences.
struct Sequence {
  int64_t query, numQueries, key, numKeys;
  bool goesOn = false;  // keys before these were looked at already
};

// Takes from neighbouring sequences the keys that they begin with in common and that all their queries look at, where that pays.
// Whole blocks of keys from the first on, so that every query sums up as it would have done alone, and gets the same bits.
// @param places     positions of the keys of all sequences
// @param numGroups  heads of queries that share a head of keys
// @param sequences  in the order of their queries; what is left of them comes back
// @returns what is to be looked at first; what stands in a later list goes on from an earlier one
std::vector<std::vector<Sequence>> takeSharedKeys(const int32_t* places, int64_t numGroups, std::vector<Sequence>& sequences);

}  // namespace adapt
