#pragma once

#include <cstddef>

namespace adapt {

struct AllocatorStats {
  size_t allocatedBytes, peakBytes, reservedBytes, numAllocations, numReservedBlocks;
};

AllocatorStats allocatorStats();
void resetPeakBytes();
void emptyAllocatorCache();

}  // namespace adapt
