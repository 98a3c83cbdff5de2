// What LibTorch asks of a device's runtime: guards, streams, generators, hooks. Every operation is done when it
// returns, so streams and events are names only.
#pragma once

#include "memory.h"

#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#if TESTING_TORCH_2_4
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <c10/core/DeviceType.h>
#endif

namespace testing_device {

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return kDevice; }
  c10::Device exchangeDevice(c10::Device device) const override {
    const auto outer = getDevice();
    uncheckedSetDevice(device);
    return outer;
  }
  c10::Device getDevice() const override { return {kDevice, currentDevice}; }
  void setDevice(c10::Device device) const override { uncheckedSetDevice(device); }
  void uncheckedSetDevice(c10::Device device) const noexcept override {
    if (device.index() >= 0) currentDevice = device.index();
  }
  c10::DeviceIndex deviceCount() const noexcept override { return kNumDevices; }

  static c10::Stream onlyStream(c10::Device device) { return c10::Stream(c10::Stream::DEFAULT, device); }
  c10::Stream getDefaultStream(c10::Device device) const override { return onlyStream(device); }
#if TESTING_TORCH_2_4
  c10::Stream getStream(c10::Device device) const override { return onlyStream(device); }
  c10::Stream getNewStream(c10::Device device, int) const override { return onlyStream(device); }
  c10::Stream exchangeStream(c10::Stream stream) const override { return onlyStream(stream.device()); }
  void synchronizeEvent(void*) const override {}
  void synchronizeDevice(const c10::DeviceIndex) const override {}
#else
  c10::Stream getStream(c10::Device device) const noexcept override { return onlyStream(device); }
  c10::Stream exchangeStream(c10::Stream stream) const noexcept override { return onlyStream(stream.device()); }
#endif
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override {}
  void recordDataPtrOnStream(const c10::DataPtr&, const c10::Stream&) const override {}
  void record(void** event, const c10::Stream&, const c10::DeviceIndex, const c10::EventFlag) const override {
    *event = nullptr;
  }
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  void destroyEvent(void*, const c10::DeviceIndex) const noexcept override {}
};

// A generator that only operators of the device take; its numbers are those of a CPU generator.
struct Generator final : c10::GeneratorImpl {
  at::Generator inner;

  Generator(c10::DeviceIndex index, at::Generator cpu)
      : c10::GeneratorImpl({kDevice, index}, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1)), inner(std::move(cpu)) {}
  void set_current_seed(uint64_t seed) override { inner.set_current_seed(seed); }
  uint64_t current_seed() const override { return inner.current_seed(); }
  uint64_t seed() override { return inner.seed(); }
#if TESTING_TORCH_2_4
  void set_offset(uint64_t) override { TORCH_CHECK(false, "testing device: a generator has no offset"); }
  uint64_t get_offset() const override { TORCH_CHECK(false, "testing device: a generator has no offset"); }
#endif
  void set_state(const c10::TensorImpl& state) override { inner.unsafeGetGeneratorImpl()->set_state(state); }
  c10::intrusive_ptr<c10::TensorImpl> get_state() const override { return inner.unsafeGetGeneratorImpl()->get_state(); }
  Generator* clone_impl() const override { return new Generator(device().index(), inner.clone()); }
};

inline const at::Generator& defaultGenerator(c10::DeviceIndex index) {
  static const std::array<at::Generator, kNumDevices> all = [] {
    std::array<at::Generator, kNumDevices> made;
    for (c10::DeviceIndex i = 0; i < kNumDevices; ++i)
      made[i] = at::make_generator<Generator>(i, at::detail::createCPUGenerator());
    return made;
  }();
  return all.at(index < 0 ? currentDevice : index);
}

#if TESTING_TORCH_2_4
struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return kNumDevices; }
  c10::DeviceIndex getCurrentDevice() const override { return currentDevice; }
  void setCurrentDevice(c10::DeviceIndex index) const override { currentDevice = index; }
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex index) const override { return std::exchange(currentDevice, index); }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex index) const override {
    return index < 0 ? currentDevice : exchangeDevice(index);
  }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex index) const override { return defaultGenerator(index); }
  at::Generator getNewGenerator(c10::DeviceIndex index) const override { return defaultGenerator(index).clone(); }
  at::Device getDeviceFromPtr(void*) const override { return {kDevice, currentDevice}; }
};

inline const bool hooksAreRegistered = [] {
  // Without a registered name backward finds no accelerator at all.
  c10::register_privateuse1_backend("privateuseone");
  at::RegisterPrivateUse1HooksInterface(new Hooks());
  return true;
}();
#endif

}  // namespace testing_device
