// Caching CPU allocator. Training frees and takes the same large blocks every step; glibc gives them back to the
// kernel each time and pays page faults. Blocks of 128 KiB and more come from a range of addresses of which the used part is
// kept (huge pages where the kernel offers them); smaller ones go to the C allocator.
#include "allocator.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <set>
#include <utility>

#include "environment.h"

namespace adapt {
namespace {

constexpr size_t kLarge = size_t{1} << 17;
constexpr size_t kAlignment = 64;
constexpr size_t kGranule = size_t{64} << 10;     // of large blocks
constexpr size_t kPage = size_t{2} << 20;         // a huge page: in such the kernel gives memory and gets it back
constexpr size_t kMinCached = size_t{512} << 20;  // of free memory so much is always kept
constexpr size_t kPeriod = 16384;                 // requests after which memory that none of them needed is given back

uintptr_t roundDown(uintptr_t x, uintptr_t unit) { return x / unit * unit; }
uintptr_t roundUp(uintptr_t x, uintptr_t unit) { return roundDown(x + unit - 1, unit); }

std::atomic<size_t> allocatedBytes{0}, peakBytes{0}, reservedBytes{0}, numAllocations{0};

void noteAllocated(size_t bytes) {
  const size_t now = allocatedBytes.fetch_add(bytes) + bytes;
  size_t peak = peakBytes.load();
  while (now > peak && !peakBytes.compare_exchange_weak(peak, now)) {
  }
  numAllocations.fetch_add(1, std::memory_order_relaxed);
}

// Large blocks in ranges of addresses that are reserved without memory. The smallest free block that holds a request is taken,
// what is over stays free, free neighbours become one: so the end of a range, which is the largest, is taken last, and grows.
// Pages of a block that is taken are held: writable and, once touched, in memory. Those of free blocks are kept or given back.
class Arena {
 public:
  void* take(size_t bytes) {
    std::lock_guard<std::mutex> lock(mutex_);
    const size_t need = roundUp(bytes, kGranule);
    if (need < bytes) return nullptr;
    auto found = free_.lower_bound({need, 0});
    if (found == free_.end() && reserve(need)) found = free_.lower_bound({need, 0});
    if (found == free_.end()) return nullptr;
    const auto block = blocks_.find(found->second);
    const uintptr_t address = block->first;
    free_.erase(found);
    const size_t heldBefore = held();
    if (!hold(address, need) && (trim(0), !hold(address, need))) {
      free_.insert({block->second.bytes, address});
      return nullptr;
    }
    const size_t over = block->second.bytes - need;
    if (over > 0) addFree(address + need, over);
    block->second = {need, bytes};
    used_ += need;
    peak_ = std::max(peak_, used_);
    if (held() > heldBefore) trim(used_ + std::max(kMinCached, allocatedBytes.load() / 2));
    if (++numTaken_ % kPeriod == 0) trim(endPeriod() + kMinCached);
    return reinterpret_cast<void*>(address);
  }

  // The size that was asked for, or 0 when the block is not ours.
  size_t giveBack(void* data) {
    std::lock_guard<std::mutex> lock(mutex_);
    auto block = blocks_.find(reinterpret_cast<uintptr_t>(data));
    if (block == blocks_.end()) return 0;
    const Block given = block->second;
    used_ -= given.bytes;
    const auto after = std::next(block);
    const auto before = block == blocks_.begin() ? blocks_.end() : std::prev(block);
    if (isFreeBeside(block, after)) join(block, after);
    if (before != blocks_.end() && isFreeBeside(before, block)) {
      join(before, block);
      block = before;
    }
    block->second.asked = 0;
    free_.insert({block->second.bytes, block->first});
    return given.asked;
  }

  void empty() {
    std::lock_guard<std::mutex> lock(mutex_);
    trim(0);
  }

 private:
  struct Block {
    size_t bytes;
    size_t asked;  // 0 where it is free
  };
  using Blocks = std::map<uintptr_t, Block>;

  size_t held() const { return held_.size() * kPage; }

  void addFree(uintptr_t address, size_t bytes) {
    blocks_[address] = {bytes, 0};
    free_.insert({bytes, address});
  }

  // Whether two blocks touch and one of them is free, the other being the one that is given back.
  bool isFreeBeside(Blocks::iterator first, Blocks::iterator second) const {
    return first != blocks_.end() && second != blocks_.end() && first->first + first->second.bytes == second->first &&
           (first->second.asked == 0 || second->second.asked == 0);
  }

  void join(Blocks::iterator first, Blocks::iterator second) {
    free_.erase({first->second.bytes, first->first});
    free_.erase({second->second.bytes, second->first});
    first->second.bytes += second->second.bytes;
    blocks_.erase(second);
  }

  // One more range, of `need` at least: four times the machine's memory, or less where the process may not have the addresses.
  bool reserve(size_t need) {
    size_t bytes = 4 * static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
    rlimit limit{};
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) bytes = std::min<size_t>(bytes, limit.rlim_cur / 4);
    const size_t least = roundUp(need, kPage);
    if (least < need) return false;
    for (bytes = std::max(roundDown(bytes, kPage), least);; bytes = std::max(roundDown(bytes / 2, kPage), least)) {
      void* raw = bytes + kPage < bytes ? MAP_FAILED : mmap(nullptr, bytes + kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (raw != MAP_FAILED) {
        addFree(roundUp(reinterpret_cast<uintptr_t>(raw), kPage), bytes);
        return true;
      }
      if (bytes == least) return false;
    }
  }

  // Makes all pages of a block writable; false where the system refuses.
  bool hold(uintptr_t address, size_t bytes) {
    const uintptr_t end = roundUp(address + bytes, kPage);
    for (uintptr_t page = roundDown(address, kPage); page < end; page += kPage) {
      if (held_.count(page) > 0) continue;
      uintptr_t last = page + kPage;
      while (last < end && held_.count(last) == 0) last += kPage;
      if (mprotect(reinterpret_cast<void*>(page), last - page, PROT_READ | PROT_WRITE) != 0) return false;
#ifdef MADV_HUGEPAGE
      madvise(reinterpret_cast<void*>(page), last - page, MADV_HUGEPAGE);
#endif
      reservedBytes += last - page;
      for (; page < last; page += kPage) held_.insert(page);
    }
    return true;
  }

  // Gives pages of free blocks back until no more than `target` bytes are held: of the largest blocks first, from their ends.
  void trim(size_t target) {
    for (auto place = free_.rbegin(); held() > target && place != free_.rend(); ++place) {
      const uintptr_t first = roundUp(place->second, kPage), end = roundDown(place->second + place->first, kPage);
      if (first >= end) continue;
      auto page = held_.lower_bound(end);
      while (held() > target && page != held_.begin() && *std::prev(page) >= first) {
        // Mapped anew: neither memory nor a promise of it is left.
        void* const address = reinterpret_cast<void*>(*std::prev(page));
        if (mmap(address, kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) return;
        page = held_.erase(std::prev(page));
        reservedBytes -= kPage;
      }
    }
  }

  // The most that was used in this period and the one before.
  size_t endPeriod() {
    const size_t most = std::max(peak_, peakBefore_);
    peakBefore_ = peak_;
    peak_ = used_;
    return most;
  }

  std::mutex mutex_;
  Blocks blocks_;
  std::set<std::pair<size_t, uintptr_t>> free_;
  std::set<uintptr_t> held_;  // pages
  size_t used_ = 0, peak_ = 0, peakBefore_ = 0, numTaken_ = 0;
};

// Never destroyed: tensors may outlive static destructors.
Arena& arena() {
  static auto* instance = new Arena();
  return *instance;
}

void deallocate(void* data) {
  if (!data) return;
  const Span span(SpanKind::Allocator, "free");
  if (reinterpret_cast<uintptr_t>(data) % kGranule == 0) {
    const size_t asked = arena().giveBack(data);
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
    void* block = arena().take(bytes);
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
  return {allocatedBytes.load(), peakBytes.load(), reservedBytes.load(), numAllocations.load()};
}

void resetPeakBytes() { peakBytes = allocatedBytes.load(); }

void emptyAllocatorCache() { arena().empty(); }

}  // namespace adapt
