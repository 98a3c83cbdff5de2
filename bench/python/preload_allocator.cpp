// Puts our caching CPU allocator under eager PyTorch, so that a benchmark can show how much of a difference is the
// allocator's. Compiled together with packages/torch/native/allocator.cpp; peer.py loads it with --preload.
#include "environment.h"

__attribute__((constructor)) static void install() { adapt::installCachingAllocator(); }
