// The driver's own C interface, found at run time: neither CUDA's headers nor its toolkit are needed, and a LibTorch
// without CUDA can still say that the machine has a device. The functions named here keep their binary interface.
#include "cuda_driver.h"

#include "environment.h"

#include <dlfcn.h>

namespace adapt {
namespace {

// CUresult, CUdevice and CUcontext of the driver's interface.
using Status = int;
using Ordinal = int;
using Context = void*;

constexpr int kMultiProcessorCount = 16;
constexpr int kComputeMajor = 75;
constexpr int kComputeMinor = 76;

template <typename Function>
bool find(void* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(dlsym(library, name));
  return function != nullptr;
}

struct Interface {
  Status (*init)(unsigned) = nullptr;
  Status (*driverVersion)(int*) = nullptr;
  Status (*errorString)(Status, const char**) = nullptr;
  Status (*deviceCount)(int*) = nullptr;
  Status (*deviceName)(char*, int, Ordinal) = nullptr;
  Status (*totalBytes)(size_t*, Ordinal) = nullptr;
  Status (*attribute)(int*, int, Ordinal) = nullptr;
  Status (*retain)(Context*, Ordinal) = nullptr;
  Status (*releaseContext)(Ordinal) = nullptr;
  Status (*push)(Context) = nullptr;
  Status (*pop)(Context*) = nullptr;
  Status (*freeBytes)(size_t*, size_t*) = nullptr;
  Status (*uuid)(unsigned char*, Ordinal) = nullptr;  // of the whole device where this is a part of one; not every driver has it

  explicit Interface(void* library) {
    complete = find(library, "cuInit", init) && find(library, "cuDriverGetVersion", driverVersion) &&
               find(library, "cuGetErrorString", errorString) && find(library, "cuDeviceGetCount", deviceCount) &&
               find(library, "cuDeviceGetName", deviceName) && find(library, "cuDeviceTotalMem_v2", totalBytes) &&
               find(library, "cuDeviceGetAttribute", attribute) && find(library, "cuDevicePrimaryCtxRetain", retain) &&
               find(library, "cuDevicePrimaryCtxRelease", releaseContext) && find(library, "cuCtxPushCurrent_v2", push) &&
               find(library, "cuCtxPopCurrent_v2", pop) && find(library, "cuMemGetInfo_v2", freeBytes);
    find(library, "cuDeviceGetUuid", uuid);
  }
  bool complete = false;

  std::string say(Status status) const {
    const char* text = nullptr;
    errorString(status, &text);
    return text ? text : "error " + std::to_string(status);
  }
};

// Null where no driver is installed. The library stays loaded.
const Interface* driverInterface() {
  static const Interface* const found = []() -> const Interface* {
    void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    return library ? new Interface(library) : nullptr;
  }();
  return found;
}

CudaDevice describe(const Interface& cuda, Ordinal ordinal) {
  CudaDevice device;
  char name[256] = {};
  size_t bytes = 0;
  if (cuda.deviceName(name, sizeof name - 1, ordinal) == 0) device.name = name;
  if (cuda.totalBytes(&bytes, ordinal) == 0) device.totalBytes = bytes;
  cuda.attribute(&device.computeMajor, kComputeMajor, ordinal);
  cuda.attribute(&device.computeMinor, kComputeMinor, ordinal);
  cuda.attribute(&device.multiProcessors, kMultiProcessorCount, ordinal);
  unsigned char uuid[16];
  if (cuda.uuid && cuda.uuid(uuid, ordinal) == 0)
    for (const unsigned char byte : uuid)
      for (const int digit : {byte >> 4, byte & 15}) device.uuid += "0123456789abcdef"[digit];
  return device;
}

CudaDriver askDriver() {
  CudaDriver driver;
  const Interface* cuda = driverInterface();
  if (!cuda) return driver;
  driver.installed = true;
  if (!cuda->complete) {
    driver.failure = "the driver's library lacks functions that CUDA 11 has";
    return driver;
  }
  const Status status = cuda->init(0);
  cuda->driverVersion(&driver.version);
  if (status != 0) {
    driver.failure = cuda->say(status);
    return driver;
  }
  int count = 0;
  cuda->deviceCount(&count);
  for (Ordinal ordinal = 0; ordinal < count; ++ordinal) driver.devices.push_back(describe(*cuda, ordinal));
  return driver;
}

}  // namespace

const CudaDriver& cudaDriver() {
  static const CudaDriver driver = askDriver();
  return driver;
}

DeviceBytes cudaDeviceBytes(int index) {
  const CudaDriver& driver = cudaDriver();
  if (index < 0 || static_cast<size_t>(index) >= driver.devices.size())
    throw CodedError("NO_SUCH_DEVICE", "there is no CUDA device " + std::to_string(index) + ": the driver shows " +
                                           std::to_string(driver.devices.size()));
  const Interface& cuda = *driverInterface();
  const auto require = [&cuda](Status status) {
    if (status != 0) throw CodedError("TORCH_ERROR", "the CUDA driver: " + cuda.say(status));
  };
  Context context = nullptr;
  // The primary context is the one that LibTorch works in: asking makes no second one.
  require(cuda.retain(&context, index));
  size_t free = 0, total = 0;
  const Status pushed = cuda.push(context);
  const Status asked = pushed == 0 ? cuda.freeBytes(&free, &total) : pushed;
  if (pushed == 0) cuda.pop(&context);
  cuda.releaseContext(index);
  require(asked);
  return {free, total};
}

}  // namespace adapt
