#include "shared_keys.h"

#include <algorithm>

#include "loops.h"

namespace adapt {
namespace {

class SharedKeys {
 public:
  SharedKeys(const int32_t* places, int64_t numGroups, std::vector<Sequence>& sequences)
      : numGroups_(numGroups), sequences_(sequences), all_(sequences), shared_(sequences.size(), 0) {
    for (size_t i = 1; i < all_.size(); i++) {
      const Sequence &before = all_[i - 1], &own = all_[i];
      const int64_t most = std::min(seenByAll(before), seenByAll(own));
      const int32_t* first = places + before.key;
      const int64_t same = std::mismatch(first, first + most, places + own.key).first - first;
      shared_[i] = same / kKeyBlock * kKeyBlock;
    }
  }

  std::vector<std::vector<Sequence>> take() {
    visit(0, all_.size(), 0, 0);
    return std::move(levels_);
  }

 private:
  // Sequences [first, last), of whose keys the first `taken` are taken.
  void visit(size_t first, size_t last, int64_t taken, size_t level) {
    if (last - first < 2) return;
    const int64_t common = *std::min_element(shared_.begin() + first + 1, shared_.begin() + last);
    const int64_t query = all_[first].query;
    const int64_t numQueries = all_[last - 1].query + all_[last - 1].numQueries - query;
    // What is not read again against the states that are kept.
    if (static_cast<int64_t>(last - first - 1) * (common - taken) >= numQueries * numGroups_ && common > taken) {
      if (level == levels_.size()) levels_.emplace_back();
      levels_[level].push_back({query, numQueries, all_[first].key + taken, common - taken, taken > 0});
      for (size_t i = first; i < last; i++) {
        sequences_[i].key = all_[i].key + common;
        sequences_[i].numKeys = all_[i].numKeys - common;
        sequences_[i].goesOn = true;
      }
      taken = common;
      level += 1;  // what the parts of these take comes after it
    }
    size_t start = first;
    for (size_t i = first + 1; i <= last; i++) {
      if (i < last && shared_[i] > common) continue;
      visit(start, i, taken, level);
      start = i;
    }
  }

  static int64_t seenByAll(const Sequence& s) { return s.numKeys - s.numQueries; }

  const int64_t numGroups_;
  std::vector<Sequence>& sequences_;
  const std::vector<Sequence> all_;
  std::vector<int64_t> shared_;  // keys that a sequence and the one before it begin with
  std::vector<std::vector<Sequence>> levels_;
};

}  // namespace

std::vector<std::vector<Sequence>> takeSharedKeys(const int32_t* places, int64_t numGroups, std::vector<Sequence>& sequences) {
  return SharedKeys(places, numGroups, sequences).take();
}

}  // namespace adapt
