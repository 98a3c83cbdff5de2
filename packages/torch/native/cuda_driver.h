// What the NVIDIA driver says of the machine, whatever LibTorch is in use.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace adapt {

struct CudaDevice {
  std::string name;
  uint64_t totalBytes = 0;
  int computeMajor = 0;
  int computeMinor = 0;
  int multiProcessors = 0;
  std::string uuid;  // in hexadecimal; empty where the driver does not say
};

struct CudaDriver {
  bool installed = false;  // libcuda is there
  std::string failure;     // why it cannot be used; empty when it can
  int version = 0;         // newest CUDA it serves: 1000 * major + 10 * minor
  std::vector<CudaDevice> devices;  // those that CUDA_VISIBLE_DEVICES leaves
};

const CudaDriver& cudaDriver();

struct DeviceBytes {
  uint64_t free = 0;
  uint64_t total = 0;
};

// Throws CodedError("NO_SUCH_DEVICE") without such a device.
DeviceBytes cudaDeviceBytes(int index);

}  // namespace adapt
