// Device groups of CUDA: NCCL, as torch.distributed has it. Built where LibTorch has CUDA and NCCL's headers are found
// (setup/build-nccl.mjs). It has been compiled, linked and loaded, and has never run on a GPU.
#define USE_C10D_NCCL
#include "device_group.h"

#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include <cstdlib>

namespace {

adapt::GroupPtr openGroup(const adapt::StorePtr& store, int rank, int size, int deviceIndex, std::chrono::milliseconds timeout) {
  // c10d's watchdog would end the process for what a rank reports with the name of the rank that failed.
  setenv("TORCH_NCCL_ASYNC_ERROR_HANDLING", "0", /*overwrite=*/0);
  setenv("NCCL_ASYNC_ERROR_HANDLING", "0", /*overwrite=*/0);
  auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = timeout;
  auto group = c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, size, options);
#if ADAPT_TORCH_AT_LEAST(2, 4)
  // Connects now, while every rank waits for it, and not within the first backward.
  const at::Device device(at::kCUDA, static_cast<c10::DeviceIndex>(deviceIndex));
  group->setBoundDeviceId(device);
  group->eagerConnectSingleDevice(device);
#else
  (void)deviceIndex;
#endif
  return group;
}

void closeGroup(adapt::Group& group) {
#if ADAPT_TORCH_AT_LEAST(2, 8)
  group.shutdown();
#else
  (void)group;
#endif
}

void abortGroup(adapt::Group& group) {
#if ADAPT_TORCH_AT_LEAST(2, 1)
  static_cast<c10d::ProcessGroupNCCL&>(group).abort();
#else
  (void)group;
#endif
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const adapt::DeviceGroups* adaptDeviceGroups() {
  static const adapt::DeviceGroups groups{openGroup, closeGroup, abortGroup};
  return &groups;
}
