// A group of ranks that exchange memory of the device: Gloo's, over the host memory behind it. As NCCL's it says nothing of a peer
// that is gone: what waits for it is never done.
#pragma once

#include "../native/device_group.h"

#ifdef ADAPT_HAS_C10D
#define USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "memory.h"

#include <atomic>
#include <cstdlib>
#include <stdexcept>

namespace testing_device {

// The host memory of a contiguous tensor of bytes.
inline at::Tensor hostBytes(const at::Tensor& tensor) {
  TORCH_CHECK(isOnDevice(tensor) && tensor.is_contiguous() && tensor.scalar_type() == at::kByte, "a group of the testing device exchanges its bytes");
  return at::from_blob(untagged(tensor.data_ptr()), tensor.sizes(), [tensor](void*) {}, at::TensorOptions().dtype(at::kByte));
}

struct DeviceWork final : c10d::Work {
  explicit DeviceWork(adapt::WorkPtr host) : host_(std::move(host)) {}
  bool wait(std::chrono::milliseconds) override {
    if (state_ != State::Running) return true;
    try {
      host_->wait();
      state_ = State::Done;
    } catch (const std::exception&) {
      state_ = State::Stuck;
    }
    return true;
  }
  bool isCompleted() override {
    if (state_ == State::Running && host_->isCompleted()) wait(std::chrono::milliseconds(0));
    return state_ == State::Done || isAborted;
  }
  std::exception_ptr exception() const override {
    return isAborted ? std::make_exception_ptr(std::runtime_error("the group was aborted")) : nullptr;
  }
  static inline std::atomic<bool> isAborted{false};

 private:
  enum class State { Running, Done, Stuck };
  adapt::WorkPtr host_;
  std::atomic<State> state_{State::Running};
};

struct DeviceGroup final : adapt::Group {
  DeviceGroup(adapt::GroupPtr host) : adapt::Group(host->getRank(), host->getSize()), host_(std::move(host)) {}

  const std::string getBackendName() const override { return "testing-device"; }
  adapt::WorkPtr alltoall_base(at::Tensor& output, at::Tensor& input, std::vector<int64_t>& outputSplits, std::vector<int64_t>& inputSplits,
                               const c10d::AllToAllOptions&) override {
    at::Tensor to = hostBytes(output), from = hostBytes(input);
    return started(host_->alltoall_base(to, from, outputSplits, inputSplits));
  }
  adapt::WorkPtr _allgather_base(at::Tensor& output, at::Tensor& input, const c10d::AllgatherOptions&) override {
    const at::Tensor all = hostBytes(output);
    std::vector<at::Tensor> inputs{hostBytes(input)};
    std::vector<std::vector<at::Tensor>> outputs(1);
    for (int rank = 0; rank < getSize(); ++rank) outputs[0].push_back(all.narrow(0, rank * input.numel(), input.numel()));
    return started(host_->allgather(outputs, inputs));
  }
  adapt::WorkPtr broadcast(std::vector<at::Tensor>& tensors, const c10d::BroadcastOptions& options) override {
    std::vector<at::Tensor> hosts;
    for (const at::Tensor& tensor : tensors) hosts.push_back(hostBytes(tensor));
    return started(host_->broadcast(hosts, options));
  }

 private:
  static adapt::WorkPtr started(adapt::WorkPtr host) { return c10::make_intrusive<DeviceWork>(std::move(host)); }
  adapt::GroupPtr host_;
};

inline adapt::GroupPtr openGroup(const adapt::StorePtr& store, int rank, int size, int, std::chrono::milliseconds timeout) {
  if (std::getenv("ADAPT_TESTING_DEVICE_APART") != nullptr) throw std::runtime_error("no way leads from this device");
  auto options = c10d::ProcessGroupGloo::Options::create(timeout);
  options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1"));
  return c10::make_intrusive<DeviceGroup>(c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, size, options));
}

}  // namespace testing_device

extern "C" __attribute__((visibility("default"))) const adapt::DeviceGroups* adaptDeviceGroups() {
  static const adapt::DeviceGroups groups{testing_device::openGroup, [](adapt::Group&) { testing_device::DeviceWork::isAborted = true; }};
  return &groups;
}
#endif
