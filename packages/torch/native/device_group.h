// Groups whose ranks exchange the memory of a device without a way over the host: NCCL's on CUDA. Each kind of device has a library
// of its own for them, which the add-on loads when ranks first meet on such a device: where it does not load, they go over the host.
#pragma once

#include "torch_version.h"

#if __has_include(<torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>)
#define ADAPT_HAS_C10D
#if ADAPT_TORCH_AT_LEAST(2, 0)
#include <torch/csrc/distributed/c10d/Backend.hpp>
#else
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#endif
#include <torch/csrc/distributed/c10d/Store.hpp>

#include <chrono>

namespace adapt {

#if ADAPT_TORCH_AT_LEAST(2, 0)
using Group = c10d::Backend;
#else
using Group = c10d::ProcessGroup;
#endif
using GroupPtr = c10::intrusive_ptr<Group>;
using WorkPtr = c10::intrusive_ptr<c10d::Work>;
using StorePtr = c10::intrusive_ptr<c10d::Store>;

struct DeviceGroups {
  // Called by all ranks, on a thread that may be left behind. The group has alltoall_base, _allgather_base and broadcast of contiguous
  // tensors on that device; Work::wait returns when what this thread asks of the device next comes after the work, Work::isCompleted says
  // whether the device has done it or given it up, Work::exception why it gave it up.
  GroupPtr (*open)(const StorePtr& store, int rank, int size, int deviceIndex, std::chrono::milliseconds timeout);
  // The end of a group, whether it is at something or not. Asks no other rank.
  void (*abort)(Group& group);
};

}  // namespace adapt

// What such a library exports; throws why it cannot be used.
extern "C" const adapt::DeviceGroups* adaptDeviceGroups();
#endif
