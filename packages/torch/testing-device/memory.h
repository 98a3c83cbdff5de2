// Memory of the device: host memory behind pointers that no processor can follow.
#pragma once

#include <ATen/ATen.h>
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <torch/csrc/api/include/torch/version.h>

#include <atomic>
#include <cstring>
#include <limits>

#define TESTING_TORCH_2_4 (TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4))

namespace testing_device {

constexpr auto kDevice = c10::DeviceType::PrivateUse1;
constexpr c10::DeviceIndex kNumDevices = 2;

// Set in every address of the device. Neither x86-64 nor arm64 (whose ignored top byte is bits 56 to 63) follows an
// address with this bit: whoever reads or writes device memory outside a kernel dies by SIGSEGV.
constexpr uintptr_t kTag = uintptr_t{1} << 54;

inline void* tagged(const void* host) {
  return host ? reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(host) | kTag) : nullptr;
}
inline void* untagged(const void* device) {
  return reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(device) & ~kTag);
}

inline bool isOnDevice(const at::Tensor& tensor) { return tensor.defined() && tensor.device().type() == kDevice; }

inline thread_local c10::DeviceIndex currentDevice = 0;

struct UseDevice {
  const c10::DeviceIndex outer = currentDevice;
  explicit UseDevice(c10::DeviceIndex index) {
    if (index >= 0) currentDevice = index;
  }
  ~UseDevice() { currentDevice = outer; }
  UseDevice(const UseDevice&) = delete;
  UseDevice& operator=(const UseDevice&) = delete;
};

// ---- how much there is ----------------------------------------------------------------------------------------

inline std::atomic<int64_t> bytesInUse{0};
inline std::atomic<int64_t> bytesAvailable{std::numeric_limits<int64_t>::max()};

// Counts bytes as long as it lives, and what holds the host memory.
template <typename Held>
struct Allocation {
  Held held;
  int64_t bytes;
  Allocation(Held held_, size_t bytes_) : held(std::move(held_)), bytes(static_cast<int64_t>(bytes_)) {
    if (bytesInUse.fetch_add(bytes) + bytes <= bytesAvailable) return;
    bytesInUse -= bytes;
    throw c10::OutOfMemoryError({__func__, __FILE__, static_cast<uint32_t>(__LINE__)},
                                "testing device out of memory. Tried to allocate " + std::to_string(bytes) + " bytes; " +
                                    std::to_string(bytesInUse) + " of " + std::to_string(bytesAvailable) + " are in use");
  }
  ~Allocation() { bytesInUse -= bytes; }
  Allocation(const Allocation&) = delete;
  Allocation& operator=(const Allocation&) = delete;
};

// Device memory over `host`, which `held` keeps alive.
template <typename Held>
c10::DataPtr deviceData(const void* host, Held held, size_t bytes, c10::DeviceIndex index) {
  auto* allocation = new Allocation<Held>(std::move(held), bytes);
  const auto release = [](void* context) { delete static_cast<Allocation<Held>*>(context); };
  return {tagged(host), allocation, release, c10::Device(kDevice, index)};
}

// ---- allocators -----------------------------------------------------------------------------------------------

struct Allocator final : c10::Allocator {
#if TESTING_TORCH_2_4
  c10::DataPtr allocate(size_t bytes) override { return make(bytes); }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    default_copy_data(untagged(to), untagged(from), bytes);
  }
#else
  c10::DataPtr allocate(size_t bytes) const override { return make(bytes); }
#endif
  static c10::DataPtr make(size_t bytes) {
    c10::DataPtr host = c10::GetCPUAllocator()->allocate(bytes);
    void* data = host.get();
    // NaN in every floating-point dtype: whoever reads what nobody wrote sees it.
    if (bytes > 0) std::memset(data, 0xFF, bytes);
    return deviceData(data, std::move(host), bytes, currentDevice);
  }
};
inline Allocator allocator;

}  // namespace testing_device
