#pragma once

#include <cstddef>

namespace adapt {

struct AllocatorStats {
  size_t allocatedBytes, peakBytes, reservedBytes, numAllocations;
};

AllocatorStats allocatorStats();
void resetPeakBytes();
void emptyAllocatorCache();

}  // namespace adapt
