#include "parallel.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/TensorIterator.h>

#include <algorithm>
#include <atomic>
#include <new>

namespace adapt {
namespace {

constexpr std::align_val_t kAlignment{64};

struct Scratch {
  explicit Scratch(int64_t count)
      : memory(count > 0 ? static_cast<float*>(::operator new(sizeof(float) * count, kAlignment)) : nullptr) {}
  ~Scratch() { ::operator delete(memory, kAlignment); }
  Scratch(const Scratch&) = delete;
  float* const memory;
};

// at::parallel_for is a template: in our object it would bring an OpenMP runtime beside LibTorch's. An iterator's loop runs on
// LibTorch's threads from within LibTorch.
void onThreads(int64_t numThreads, const std::function<void()>& body) {
  if (numThreads <= 1 || at::in_parallel_region()) return body();
  at::Tensor places = at::empty({numThreads}, at::kByte);
  auto iterator = at::TensorIterator::nullary_op(places);
  iterator.for_each([&](char**, const int64_t*, int64_t inner, int64_t outer) {
    for (int64_t i = 0; i < inner * outer; i++) body();
  }, 1);
}

}  // namespace

void forEachIndex(int64_t count, int64_t scratchFloats, const std::function<void(int64_t, float*)>& work) {
  std::atomic<int64_t> next{0};
  onThreads(std::min<int64_t>(count, at::get_num_threads()), [&] {
    const Scratch scratch(scratchFloats);
    for (int64_t i = next++; i < count; i = next++) work(i, scratch.memory);
  });
}

void forEachBlock(int64_t count, int64_t blockSize, const std::function<void(int64_t, int64_t)>& work) {
  forEachBlock(count, blockSize, 0, [&](int64_t begin, int64_t end, float*) { work(begin, end); });
}

void forEachBlock(int64_t count, int64_t blockSize, int64_t scratchFloats,
                  const std::function<void(int64_t, int64_t, float*)>& work) {
  forEachIndex((count + blockSize - 1) / blockSize, scratchFloats, [&](int64_t block, float* scratch) {
    work(block * blockSize, std::min(count, (block + 1) * blockSize), scratch);
  });
}

}  // namespace adapt
