// Caching CPU allocator. Training frees and takes the same large blocks every step; glibc gives them back to the
// kernel each time and pays page faults. Blocks of 1 MiB and more are kept in a best-fit free list (huge pages
// where the kernel offers them); smaller ones go to the C allocator. Counters are exact.
#include "allocator.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <unordered_map>

#include "environment.h"

namespace adapt {
namespace {

constexpr size_t kLarge = size_t{1} << 20;
constexpr size_t kAlignment = 64;
constexpr size_t kLargeAlignment = size_t{1} << 21;
constexpr double kMaxSlack = 1.25;                       // a reused block is at most 25 % larger than asked for
constexpr size_t kMinCached = size_t{512} << 20;         // below this the free list is never trimmed

std::atomic<size_t> allocatedBytes{0}, peakBytes{0}, reservedBytes{0}, numAllocations{0}, numReserved{0};

void noteAllocated(size_t bytes) {
  const size_t now = allocatedBytes.fetch_add(bytes) + bytes;
  size_t peak = peakBytes.load();
  while (now > peak && !peakBytes.compare_exchange_weak(peak, now)) {
  }
  numAllocations.fetch_add(1, std::memory_order_relaxed);
}

// Large blocks: asked-for size and mapped size by address, and a free list by mapped size.
class BlockCache {
 public:
  void* take(size_t bytes) {
    std::lock_guard<std::mutex> lock(mutex_);
    const size_t need = (bytes + kLargeAlignment - 1) / kLargeAlignment * kLargeAlignment;
    const auto found = free_.lower_bound(need);
    if (found != free_.end() && static_cast<double>(found->first) <= static_cast<double>(need) * kMaxSlack) {
      void* block = found->second;
      freeBytes_ -= found->first;
      used_[block] = {bytes, found->first};
      free_.erase(found);
      return block;
    }
    trim(std::max(kMinCached, allocatedBytes.load() / 2));
    void* block = map(need);
    if (!block) {
      trim(0);
      block = map(need);
      if (!block) return nullptr;
    }
    used_[block] = {bytes, need};
    return block;
  }

  // The size that was asked for, or 0 when the block is not ours.
  size_t giveBack(void* block) {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto found = used_.find(block);
    if (found == used_.end()) return 0;
    const Block info = found->second;
    used_.erase(found);
    free_.emplace(info.mapped, block);
    freeBytes_ += info.mapped;
    return info.asked;
  }

  void empty() {
    std::lock_guard<std::mutex> lock(mutex_);
    trim(0);
  }

 private:
  struct Block {
    size_t asked, mapped;
  };

  static void* map(size_t bytes) {
    // Over-map by one alignment unit and cut both ends, so that huge pages can back the whole block.
    const size_t total = bytes + kLargeAlignment;
    void* raw = mmap(nullptr, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED) return nullptr;
    const auto start = reinterpret_cast<uintptr_t>(raw);
    const uintptr_t aligned = (start + kLargeAlignment - 1) / kLargeAlignment * kLargeAlignment;
    if (aligned > start) munmap(raw, aligned - start);
    const size_t tail = start + total - (aligned + bytes);
    if (tail > 0) munmap(reinterpret_cast<void*>(aligned + bytes), tail);
#ifdef MADV_HUGEPAGE
    madvise(reinterpret_cast<void*>(aligned), bytes, MADV_HUGEPAGE);
#endif
    reservedBytes += bytes;
    numReserved += 1;
    return reinterpret_cast<void*>(aligned);
  }

  void trim(size_t keep) {
    while (freeBytes_ > keep && !free_.empty()) {
      const auto largest = std::prev(free_.end());
      munmap(largest->second, largest->first);
      reservedBytes -= largest->first;
      numReserved -= 1;
      freeBytes_ -= largest->first;
      free_.erase(largest);
    }
  }

  std::mutex mutex_;
  std::multimap<size_t, void*> free_;
  std::unordered_map<void*, Block> used_;
  size_t freeBytes_ = 0;
};

// Never destroyed: tensors may outlive static destructors.
BlockCache& cache() {
  static auto* instance = new BlockCache();
  return *instance;
}

void deallocate(void* data) {
  if (!data) return;
  const Span span(SpanKind::Allocator, "free");
  if (reinterpret_cast<uintptr_t>(data) % kLargeAlignment == 0) {
    const size_t asked = cache().giveBack(data);
    if (asked > 0) {
      allocatedBytes -= asked;
      return;
    }
  }
  // Small block: its size stands in the alignment gap before it.
  auto* base = static_cast<char*>(data) - kAlignment;
  size_t bytes;
  std::memcpy(&bytes, base, sizeof bytes);
  allocatedBytes -= bytes;
  reservedBytes -= bytes;
  std::free(base);
}

void* allocateBytes(size_t bytes) {
  const Span span(SpanKind::Allocator, "allocate");
  if (bytes >= kLarge) {
    void* block = cache().take(bytes);
    if (!block) throw std::bad_alloc();
    noteAllocated(bytes);
    return block;
  }
  void* base = nullptr;
  if (posix_memalign(&base, kAlignment, bytes + kAlignment) != 0) throw std::bad_alloc();
  std::memcpy(base, &bytes, sizeof bytes);
  noteAllocated(bytes);
  reservedBytes += bytes;
  return static_cast<char*>(base) + kAlignment;
}

struct CachingAllocator final : c10::Allocator {
#if ADAPT_TORCH_AT_LEAST(2, 2)
  c10::DataPtr allocate(size_t bytes) override {
#else
  c10::DataPtr allocate(size_t bytes) const override {
#endif
    if (bytes == 0) return {nullptr, nullptr, &deallocate, c10::Device(c10::DeviceType::CPU)};
    void* data = allocateBytes(bytes);
    // raw_allocate asserts data == context, so the context is the data pointer.
    return {data, data, &deallocate, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &deallocate; }
#if ADAPT_TORCH_AT_LEAST(2, 2)
  void copy_data(void* destination, const void* source, std::size_t count) const override {
    default_copy_data(destination, source, count);
  }
#endif
};

}  // namespace

void installCachingAllocator() {
  static std::once_flag once;
  std::call_once(once, [] {
    if (const char* choice = std::getenv("ADAPT_TORCH_ALLOCATOR"); choice && std::strcmp(choice, "system") == 0) return;
    static auto* allocator = new CachingAllocator();
    c10::SetCPUAllocator(allocator, /*priority=*/1);
  });
}

AllocatorStats allocatorStats() {
  return {allocatedBytes.load(), peakBytes.load(), reservedBytes.load(), numAllocations.load(), numReserved.load()};
}

void resetPeakBytes() { peakBytes = allocatedBytes.load(); }

void emptyAllocatorCache() { cache().empty(); }

}  // namespace adapt
