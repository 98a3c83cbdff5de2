// Work of a kernel on LibTorch's own threads.
#pragma once

#include <cstdint>
#include <functional>

namespace adapt {

// Calls `work` with every index in [0, count), on as many threads as LibTorch uses: each takes the next index when it is done with one,
// so that the longest should come first. What an index computes must not depend on the thread.
// `work(index, scratch)` has `scratchFloats` numbers of memory to itself, 64 bytes aligned.
void forEachIndex(int64_t count, int64_t scratchFloats, const std::function<void(int64_t, float*)>& work);

// Calls `work(begin, end)` for blocks of [0, count) that have `blockSize` indices each but for the last: the same blocks on any number of
// threads.
void forEachBlock(int64_t count, int64_t blockSize, const std::function<void(int64_t, int64_t)>& work);

// The same with memory of its own for each: `work(begin, end, scratch)`.
void forEachBlock(int64_t count, int64_t blockSize, int64_t scratchFloats,
                  const std::function<void(int64_t, int64_t, float*)>& work);

}  // namespace adapt
