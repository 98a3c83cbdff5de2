// Devices that are not the CPU: what there is, their memory, waiting for them. Everything goes through LibTorch's
// device-neutral interfaces, so that one source serves a LibTorch with and without CUDA.
#include "cuda_driver.h"
#include "environment.h"

#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

// The device-neutral statistics of caching allocators.
#if ADAPT_TORCH_AT_LEAST(2, 9)
#include <c10/core/CachingDeviceAllocator.h>
#define ADAPT_HAS_DEVICE_STATISTICS
#endif

namespace adapt {
namespace {

// (deviceType, deviceIndex) -> the device, with the current one for index -1
c10::Device deviceArgument(Call& call) {
  const c10::DeviceType type = call.deviceType(0);
  const int64_t index = call.integer(1);
  if (!c10::impl::hasDeviceGuardImpl(type))
    throw CodedError("NO_SUCH_DEVICE", "this LibTorch has no " + c10::DeviceTypeName(type, /*lower_case=*/true) + " devices");
  const c10::impl::DeviceGuardImplInterface* guard = c10::impl::getDeviceGuardImpl(type);
  const int64_t needed = std::max<int64_t>(index, 0);
  if (needed >= guard->deviceCount())
    throw CodedError("NO_SUCH_DEVICE", "there is no device " + std::to_string(needed) + ": there are " + std::to_string(guard->deviceCount()));
  return index < 0 ? guard->getDevice() : c10::Device(type, static_cast<c10::DeviceIndex>(index));
}

// deviceCount(deviceType) -> devices that this LibTorch can use
napi_value deviceCount(Call& call) {
  const c10::DeviceType type = call.deviceType(0);
  const bool known = c10::impl::hasDeviceGuardImpl(type);
  return call.fromNumber(known ? c10::impl::getDeviceGuardImpl(type)->deviceCount() : 0);
}

// synchronizeDevice(deviceType, deviceIndex): waits for everything that this thread has asked of the device
napi_value synchronizeDevice(Call& call) {
  const c10::Device device = deviceArgument(call);
  const c10::impl::DeviceGuardImplInterface* guard = c10::impl::getDeviceGuardImpl(device.type());
  guard->synchronizeStream(guard->getStream(device));
  return call.undefined();
}

#ifdef ADAPT_HAS_DEVICE_STATISTICS
c10::DeviceAllocator& deviceAllocator(const c10::Device& device) {
  auto* allocator = dynamic_cast<c10::DeviceAllocator*>(c10::GetAllocator(device.type()));
  if (!allocator) throw CodedError("NOT_IMPLEMENTED", "the allocator of " + device.str() + " keeps no statistics");
  // CUDA's allocator counts from its first use on.
  if (!allocator->initialized()) at::empty({0}, at::TensorOptions().device(device));
  return *allocator;
}
#endif

[[maybe_unused]] CodedError noStatistics() {
  return CodedError("NOT_IMPLEMENTED", "memory statistics of a device need LibTorch 2.9 or later, this is " TORCH_VERSION);
}

// deviceMemoryStats(deviceType, deviceIndex) -> the fields of memoryStats that a device has
napi_value deviceMemoryStats(Call& call) {
  const c10::Device device = deviceArgument(call);
#ifdef ADAPT_HAS_DEVICE_STATISTICS
  const auto stats = deviceAllocator(device).getDeviceStats(device.index());
  const auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  napi_value result = call.newObject();
  const auto set = [&](const char* key, int64_t value) { call.set(result, key, call.fromNumber(static_cast<double>(value))); };
  set("allocatedBytes", stats.allocated_bytes[all].current);
  set("peakBytes", stats.allocated_bytes[all].peak);
  set("reservedBytes", stats.reserved_bytes[all].current);
  set("numAllocations", stats.allocation[all].allocated);
  set("liveTensors", static_cast<int64_t>(call.state.slots.live()));
  return result;
#else
  (void)device;
  throw noStatistics();
#endif
}

// resetDevicePeak(deviceType, deviceIndex)
napi_value resetDevicePeak(Call& call) {
  const c10::Device device = deviceArgument(call);
#ifdef ADAPT_HAS_DEVICE_STATISTICS
  deviceAllocator(device).resetPeakStats(device.index());
  return call.undefined();
#else
  (void)device;
  throw noStatistics();
#endif
}

// emptyDeviceCache(deviceType, deviceIndex)
napi_value emptyDeviceCache(Call& call) {
  const c10::Device device = deviceArgument(call);
#ifdef ADAPT_HAS_DEVICE_STATISTICS
  deviceAllocator(device).emptyCache();
  return call.undefined();
#else
  (void)device;
  throw noStatistics();
#endif
}

// deviceBytes(deviceType, deviceIndex) -> {free, total}, of the whole device and all its users
napi_value deviceBytes(Call& call) {
  const c10::DeviceType type = call.deviceType(0);
  if (type != c10::DeviceType::CUDA)
    throw CodedError("NOT_IMPLEMENTED", "only the memory of CUDA devices is known, not that of " + c10::DeviceTypeName(type, true));
  const DeviceBytes bytes = cudaDeviceBytes(std::max(0, static_cast<int>(call.integer(1))));
  napi_value result = call.newObject();
  call.set(result, "free", call.fromNumber(static_cast<double>(bytes.free)));
  call.set(result, "total", call.fromNumber(static_cast<double>(bytes.total)));
  return result;
}

// cudaInfo() -> {libtorch, driver, installed, failure, devices}; versions are 1000 * major + 10 * minor, 0 for none
napi_value cudaInfo(Call& call) {
  const CudaDriver& driver = cudaDriver();
  napi_value result = call.newObject();
  call.set(result, "libtorch", call.fromNumber(at::hasCUDA() ? static_cast<double>(at::detail::getCUDAHooks().versionCUDART()) : 0));
  call.set(result, "driver", call.fromNumber(driver.version));
  call.set(result, "installed", call.fromBool(driver.installed));
  call.set(result, "failure", call.fromString(driver.failure));
  napi_value devices;
  check(call.env, napi_create_array(call.env, &devices));
  uint32_t i = 0;
  for (const CudaDevice& device : driver.devices) {
    napi_value entry = call.newObject();
    call.set(entry, "name", call.fromString(device.name));
    call.set(entry, "totalBytes", call.fromNumber(static_cast<double>(device.totalBytes)));
    call.set(entry, "computeMajor", call.fromNumber(device.computeMajor));
    call.set(entry, "computeMinor", call.fromNumber(device.computeMinor));
    call.set(entry, "multiProcessors", call.fromNumber(device.multiProcessors));
    call.set(entry, "uuid", call.fromString(device.uuid));
    check(call.env, napi_set_element(call.env, devices, i++, entry));
  }
  call.set(result, "devices", devices);
  return result;
}

}  // namespace

void exportDevice(napi_env env, napi_value exports) {
  exportFunction(env, exports, "deviceCount", guarded<deviceCount>);
  exportFunction(env, exports, "synchronizeDevice", guarded<synchronizeDevice>);
  exportFunction(env, exports, "deviceMemoryStats", guarded<deviceMemoryStats>);
  exportFunction(env, exports, "resetDevicePeak", guarded<resetDevicePeak>);
  exportFunction(env, exports, "emptyDeviceCache", guarded<emptyDeviceCache>);
  exportFunction(env, exports, "deviceBytes", guarded<deviceBytes>);
  exportFunction(env, exports, "cudaInfo", guarded<cudaInfo>);
}

}  // namespace adapt
