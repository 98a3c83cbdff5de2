// Device groups of CUDA: NCCL, as torch.distributed has it. Built where LibTorch has CUDA and NCCL's headers are found
// (setup/build-nccl.mjs). It has been compiled, linked and loaded, and has never run on a GPU.
#define USE_C10D_NCCL
#include "device_group.h"

#include <torch/csrc/cuda/nccl.h>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace {

// Launchers set some of these too: what they say does not count here.
void settle(const char* name, const char* value) { setenv(name, value, /*overwrite=*/1); }

adapt::GroupPtr openGroup(const adapt::StorePtr& store, int rank, int size, int deviceIndex, std::chrono::milliseconds timeout) {
  // c10d's watchdog would end the process for what a rank reports with the name of the rank that failed, and its wait would hold the
  // host where nobody looks after the other ranks.
#if ADAPT_TORCH_AT_LEAST(2, 2)
  settle("TORCH_NCCL_ASYNC_ERROR_HANDLING", "0");
  settle("TORCH_NCCL_RETHROW_CUDA_ERRORS", "0");
  settle("TORCH_NCCL_BLOCKING_WAIT", "0");
  settle("TORCH_NCCL_USE_COMM_NONBLOCKING", "0");
#else
  settle("NCCL_ASYNC_ERROR_HANDLING", "0");
  settle("NCCL_BLOCKING_WAIT", "0");
#endif
  auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = timeout;
  auto group = c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, size, options);
#if ADAPT_TORCH_AT_LEAST(2, 4)
  group->setBoundDeviceId(at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(deviceIndex)));
#else
  (void)deviceIndex;
#endif
  return group;
}

void abortGroup(adapt::Group& group) {
#if ADAPT_TORCH_AT_LEAST(2, 1)
  static_cast<c10d::ProcessGroupNCCL&>(group).abort();
#else
  (void)group;
#endif
}

// The options of a group hold a struct of NCCL by value, which grows from version to version.
void requireHeadersOfLibTorch() {
  const uint64_t version = torch::cuda::nccl::version();
  const int major = static_cast<int>(version >> 32), minor = static_cast<int>(version >> 16 & 0xFFFF);
  if (major == NCCL_MAJOR && minor == NCCL_MINOR) return;
  throw std::runtime_error("nccl.h is of " + std::to_string(NCCL_MAJOR) + "." + std::to_string(NCCL_MINOR) + ", LibTorch has NCCL " +
                           std::to_string(major) + "." + std::to_string(minor));
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const adapt::DeviceGroups* adaptDeviceGroups() {
  requireHeadersOfLibTorch();
  static const adapt::DeviceGroups groups{openGroup, abortGroup};
  return &groups;
}
