// Process groups of torch.distributed (c10d): what the files that work with them share. Only these include c10d's headers.
#pragma once

#include "environment.h"

#if __has_include(<torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>)
#define ADAPT_HAS_C10D
#define USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

namespace adapt {

#if ADAPT_TORCH_AT_LEAST(2, 0)
using Group = c10d::Backend;
#else
using Group = c10d::ProcessGroup;
#endif
using GroupPtr = c10::intrusive_ptr<Group>;
using WorkPtr = c10::intrusive_ptr<c10d::Work>;
using StorePtr = c10::intrusive_ptr<c10d::Store>;

struct GradientBuckets;

// Stores, groups and buckets of one environment, by the numbers that TypeScript has for them.
struct Distributed {
  std::unordered_map<int64_t, StorePtr> stores;
  std::unordered_map<int64_t, GroupPtr> groups;
  std::unordered_map<int64_t, std::shared_ptr<GradientBuckets>> buckets;
  int64_t next = 1;
  ~Distributed();
};

Distributed& distributedOf(Call& call);
GroupPtr groupOf(Call& call, size_t i);

// The bytes of a contiguous CPU tensor as a tensor of their own, which keeps the first alive.
at::Tensor bytesOf(const at::Tensor& tensor);

// Every rank's piece r goes to rank r. Both are [N * piece], contiguous, on the CPU.
WorkPtr startAllToAll(Group& group, const at::Tensor& received, const at::Tensor& sent);
// Every rank's piece to all. `all` is [N * piece].
WorkPtr startAllGather(Group& group, const at::Tensor& all, const at::Tensor& piece);

// out[i] = sum over r of in[r * n + i], taken in the order of r: in float64 for floating types, in int64 for integers,
// rounded once. Contiguous, on the CPU.
void sumPieces(const at::Tensor& out, const at::Tensor& in);

}  // namespace adapt
#endif
