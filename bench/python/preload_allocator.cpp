// Puts our caching CPU allocator under eager PyTorch, so that a benchmark can show how much of a difference is the
// allocator's. Compiled together with packages/torch/native/allocator.cpp; peer.py loads it with --preload.
#include "environment.h"

namespace adapt {

// Nobody records here: profiler.cpp stays out.
std::atomic<bool> recording{false};
void Span::begin(SpanKind, const char*) {}
void Span::end() {}

}  // namespace adapt

__attribute__((constructor)) static void install() { adapt::installCachingAllocator(); }
