#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace adapt {

// Must match `KINDS` in src/profiler.ts.
enum class SpanKind : uint8_t { Operator = 0, Backward = 1, Call = 2, Region = 3, Allocator = 4 };

// Whether some thread is being recorded. The only thing that is looked at while none is.
extern std::atomic<bool> recording;

// The time between construction and destruction, where the thread is the one that is recorded.
class Span {
 public:
  Span(SpanKind kind, const char* name) {
    if (__builtin_expect(recording.load(std::memory_order_relaxed), 0)) begin(kind, name);
  }
  ~Span() {
    if (__builtin_expect(session_ != 0, 0)) end();
  }
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;

 private:
  void begin(SpanKind kind, const char* name);
  void end();
  size_t index_ = 0;
  uint64_t session_ = 0;  // of the recording it belongs to; 0 for none
};

}  // namespace adapt
