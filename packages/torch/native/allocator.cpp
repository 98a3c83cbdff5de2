// Caching CPU allocator. Training frees and takes the same large blocks every step; glibc gives them back to the
// kernel each time and pays page faults. Blocks of 1 MiB and more come from one range of addresses, where free neighbours
// join (huge pages where the kernel offers them); smaller ones go to the C allocator. Counters are exact.
#include "allocator.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>
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

constexpr size_t kLarge = size_t{1} << 20;
constexpr size_t kAlignment = 64;
constexpr size_t kGranule = size_t{64} << 10;       // of large blocks; a multiple of the page size everywhere
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kStep = size_t{64} << 20;          // by which the usable part of the range grows
constexpr size_t kMinCached = size_t{512} << 20;    // below this the free blocks are never trimmed

size_t roundUp(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

std::atomic<size_t> allocatedBytes{0}, peakBytes{0}, reservedBytes{0}, numAllocations{0};

void noteAllocated(size_t bytes) {
  const size_t now = allocatedBytes.fetch_add(bytes) + bytes;
  size_t peak = peakBytes.load();
  while (now > peak && !peakBytes.compare_exchange_weak(peak, now)) {
  }
  numAllocations.fetch_add(1, std::memory_order_relaxed);
}

// Large blocks, one after another in a range of addresses that is reserved once: the best fit is taken and what is over stays
// free, free neighbours become one. The last block grows with the range, so that no request is too large for what is free.
class Arena {
 public:
  void* take(size_t bytes) {
    std::lock_guard<std::mutex> lock(mutex_);
    const size_t need = roundUp(bytes, kGranule);
    const auto found = free_.lower_bound({need, nullptr});
    const auto block = found != free_.end() ? blocks_.find(found->second) : grow(need);
    if (block == blocks_.end()) return nullptr;
    unlink(block);
    const size_t held = block->second.held, over = block->second.bytes - need;
    // Which part of it is resident is not known: as much of the rest as can be.
    const size_t heldOver = std::min(held, over);
    if (over > 0) link(blocks_.emplace(block->first + need, Block{over, 0, heldOver}).first);
    block->second = {need, bytes, need};
    reservedBytes += need + heldOver - held;
    return block->first;
  }

  // The size that was asked for, or 0 when the block is not ours.
  size_t giveBack(void* data) {
    std::lock_guard<std::mutex> lock(mutex_);
    auto block = blocks_.find(static_cast<char*>(data));
    if (block == blocks_.end()) return 0;
    const size_t asked = block->second.asked;
    block->second.asked = 0;
    const auto after = std::next(block);
    if (after != blocks_.end() && after->second.asked == 0) join(block, after);
    if (block != blocks_.begin() && std::prev(block)->second.asked == 0) {
      block = std::prev(block);
      join(block, std::next(block));
    }
    link(block);
    return asked;
  }

  void empty() {
    std::lock_guard<std::mutex> lock(mutex_);
    trim(0);
  }

 private:
  struct Block {
    size_t bytes;
    size_t asked;  // 0 where it is free
    size_t held;   // bytes that may be resident: not those that `trim` gave back
  };
  using Blocks = std::map<char*, Block>;

  void link(Blocks::iterator block) {
    free_.insert({block->second.bytes, block->first});
    freeBytes_ += block->second.held;
  }

  void unlink(Blocks::iterator block) {
    free_.erase({block->second.bytes, block->first});
    freeBytes_ -= block->second.held;
  }

  // Makes neighbours one block that is not linked; one of them was just given back.
  void join(Blocks::iterator first, Blocks::iterator second) {
    for (const auto block : {first, second})
      if (free_.count({block->second.bytes, block->first}) > 0) unlink(block);
    first->second.bytes += second->second.bytes;
    first->second.held += second->second.held;
    blocks_.erase(second);
  }

  // A free block of at least `need` bytes at the end of the range, or no block where there is no memory for it.
  Blocks::iterator grow(size_t need) {
    trim(std::max(kMinCached, allocatedBytes.load() / 2));
    if (!start_ && !reserve()) return blocks_.end();
    const auto last = blocks_.empty() ? blocks_.end() : std::prev(blocks_.end());
    const bool isFree = last != blocks_.end() && last->second.asked == 0;
    const size_t more = need - (isFree ? last->second.bytes : 0);
    if (more > static_cast<size_t>(end_ - top_) || !makeUsable(top_ + more)) return blocks_.end();
    const auto added = blocks_.emplace(top_, Block{more, 0, more}).first;
    reservedBytes += more;
    top_ += more;
    if (!isFree) {
      link(added);
      return added;
    }
    join(last, added);
    link(last);
    return last;
  }

  // Addresses alone, of which a program may have more than there is memory.
  bool reserve() {
    const auto memory = static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
    for (size_t bytes = roundUp(4 * memory, kStep); bytes >= kStep; bytes = roundUp(bytes / 2, kHugePage)) {
      void* raw = mmap(nullptr, bytes + kHugePage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (raw == MAP_FAILED) continue;
#ifdef MADV_HUGEPAGE
      madvise(raw, bytes + kHugePage, MADV_HUGEPAGE);
#endif
      start_ = reinterpret_cast<char*>(roundUp(reinterpret_cast<uintptr_t>(raw), kHugePage));
      top_ = usable_ = start_;
      end_ = start_ + bytes;
      return true;
    }
    return false;
  }

  bool makeUsable(char* to) {
    if (to <= usable_) return true;
    char* const next = std::min(end_, start_ + roundUp(static_cast<size_t>(to - start_), kStep));
    if (mprotect(usable_, static_cast<size_t>(next - usable_), PROT_READ | PROT_WRITE) != 0) return false;
    usable_ = next;
    return true;
  }

  // Gives the memory of free blocks back, the largest first; their addresses stay.
  void trim(size_t keep) {
    for (auto place = free_.rbegin(); freeBytes_ > keep && place != free_.rend(); ++place) {
      Block& block = blocks_.at(place->second);
      if (madvise(place->second, block.bytes, MADV_DONTNEED) != 0) continue;
      reservedBytes -= block.held;
      freeBytes_ -= block.held;
      block.held = 0;
    }
  }

  std::mutex mutex_;
  Blocks blocks_;
  std::set<std::pair<size_t, char*>> free_;
  size_t freeBytes_ = 0;  // held by free blocks
  char* start_ = nullptr;
  char* top_ = nullptr;     // where the blocks end
  char* usable_ = nullptr;  // what may be written ends
  char* end_ = nullptr;
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
