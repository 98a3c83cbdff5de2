// Process groups of torch.distributed (c10d): what the files that work with them share. Only these include c10d's headers.
#pragma once

#include "device_group.h"
#include "environment.h"

#ifdef ADAPT_HAS_C10D
#define USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace adapt {

// A group, and what it exchanges. On a device a collective may go on after the call that asked for it.
struct Link {
  GroupPtr group;
  const DeviceGroups* device = nullptr;  // null: memory of the CPU

  // Remembers what a device has been asked for.
  WorkPtr started(WorkPtr work);
  // Whether everything is done, and none of it given up. Throws what a device gave something up for.
  bool settle();
  bool isIdle() noexcept;
  // Ends what a device is at.
  void abort();

 private:
  std::mutex mutex_;  // backward has threads of its own
  std::vector<WorkPtr> pending_;  // not known to be done
  bool hasFailed_ = false;
  std::atomic<bool> isAborted_{false};
};
using LinkPtr = std::shared_ptr<Link>;

struct GradientBuckets;

// Stores, groups and buckets of one environment, by the numbers that TypeScript has for them.
struct Distributed {
  std::unordered_map<int64_t, StorePtr> stores;
  std::unordered_map<int64_t, LinkPtr> groups;
  std::unordered_map<int64_t, std::future<LinkPtr>> opening;
  std::unordered_map<int64_t, std::shared_ptr<GradientBuckets>> buckets;
  int64_t next = 1;
  ~Distributed();
};

Distributed& distributedOf(Call& call);
LinkPtr linkOf(Call& call, size_t i);

// Takes `step` again until it says that it is done; whether it did within so long.
bool isDoneWithin(std::chrono::milliseconds limit, const std::function<bool()>& step);

// The bytes of a contiguous tensor where the link's tensors are, as a tensor over the same memory.
at::Tensor bytesOf(const Link& link, const at::Tensor& tensor);

// Every rank's piece r goes to rank r. Both are [N * piece], contiguous.
WorkPtr startAllToAll(Link& link, const at::Tensor& received, const at::Tensor& sent);
// Every rank's piece to all. `all` is [N * piece].
WorkPtr startAllGather(Link& link, const at::Tensor& all, const at::Tensor& piece);

// out[i] = sum over r of in[r * n + i], taken in the order of r: in float64 for floating types, in int64 for integers,
// rounded once. Contiguous; to the bit the same on every device.
void sumPieces(const at::Tensor& out, const at::Tensor& in);

}  // namespace adapt
#endif
