// What tests ask of the device: how often something crossed between host and device, and that it must not.
#pragma once

#include <c10/util/Exception.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace testing_device {

// In the order in which testing-device.mjs names them.
enum Count {
  kCopiesToHost,
  kBytesToHost,
  kCopiesToDevice,
  kBytesToDevice,
  kCopiesWithin,
  kScalarReads,
  kWaits,
  kHostScalars,
  kOperators,
  kNumCounts
};
inline std::array<std::atomic<int64_t>, kNumCounts> counts{};

// One bit each; testing-device.mjs has the same.
enum Forbidden : int64_t {
  kNoCopiesToHost = 1,
  kNoCopiesToDevice = 2,
  kNoScalarReads = 4,
  kNoWaits = 8,
  kNoHostScalars = 16
};
inline std::atomic<int64_t> forbidden{0};

// Throws within the call that did it: the JavaScript stack names the line.
inline void note(Count what, Forbidden flag, const std::string& description) {
  counts[what] += 1;
  TORCH_CHECK(!(forbidden & flag), "testing device: forbidden here: ", description);
}

inline std::mutex operatorsMutex;
inline std::map<std::string, int64_t> operatorsRun;  // by name with overload

inline void noteOperator(const std::string& name) {
  counts[kOperators] += 1;
  std::lock_guard<std::mutex> lock(operatorsMutex);
  operatorsRun[name] += 1;
}

inline int64_t timesRun(const std::string& name) {
  std::lock_guard<std::mutex> lock(operatorsMutex);
  const auto found = operatorsRun.find(name);
  return found == operatorsRun.end() ? 0 : found->second;
}

inline void resetCounts() {
  for (auto& count : counts) count = 0;
  std::lock_guard<std::mutex> lock(operatorsMutex);
  operatorsRun.clear();
}

}  // namespace testing_device
