// Version, threads, memory counters, generators and devices.
#include "allocator.h"
#include "environment.h"
#include "kernels/loops.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <dlfcn.h>

#include <mutex>

namespace adapt {
namespace {

napi_value info(Call& call) {
  napi_value result = call.newObject();
  call.set(result, "version", call.fromString(TORCH_VERSION));
  call.set(result, "numThreads", call.fromNumber(at::get_num_threads()));
  call.set(result, "hasCuda", call.fromBool(at::hasCUDA()));
  call.set(result, "config", call.fromString(at::show_config()));
  call.set(result, "kernels", call.fromString(loops().name));
  call.set(result, "privateUse1", call.fromNumber(static_cast<double>(c10::DeviceType::PrivateUse1)));
  return result;
}

napi_value setNumThreads(Call& call) {
  const int64_t threads = call.integer(0);
  if (threads < 1 || threads > 4096) throw CodedError("BAD_ARGUMENT", "the number of threads must be 1 to 4096");
  at::set_num_threads(static_cast<int>(threads));
  return call.undefined();
}

// loadLibrary(path): CUDA kernels register themselves from this library's static initialisers
napi_value loadLibrary(Call& call) {
  const std::string path = call.string(0);
  if (!dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL)) throw CodedError("LIBRARY_NOT_LOADED", dlerror());
  return call.undefined();
}

napi_value memoryStats(Call& call) {
  const AllocatorStats stats = allocatorStats();
  napi_value result = call.newObject();
  call.set(result, "allocatedBytes", call.fromNumber(static_cast<double>(stats.allocatedBytes)));
  call.set(result, "peakBytes", call.fromNumber(static_cast<double>(stats.peakBytes)));
  call.set(result, "reservedBytes", call.fromNumber(static_cast<double>(stats.reservedBytes)));
  call.set(result, "numAllocations", call.fromNumber(static_cast<double>(stats.numAllocations)));
  call.set(result, "liveTensors", call.fromNumber(static_cast<double>(call.state.slots.live())));
  return result;
}

napi_value resetPeak(Call& call) {
  resetPeakBytes();
  return call.undefined();
}

napi_value emptyCache(Call& call) {
  emptyAllocatorCache();
  return call.undefined();
}

at::Generator& generatorOf(Call& call) {
  const size_t index = call.count(0);
  if (index >= call.state.generators.size()) throw CodedError("BAD_ARGUMENT", "unknown generator");
  return call.state.generators[index];
}

// newGenerator(deviceType, deviceIndex) -> id
napi_value newGenerator(Call& call) {
  const c10::DeviceType type = call.deviceType(0);
  if (type == c10::DeviceType::CPU) {
    call.state.generators.push_back(at::detail::createCPUGenerator());
  } else {
    const c10::Device device(type, static_cast<c10::DeviceIndex>(call.integer(1)));
    at::Generator generator = at::globalContext().defaultGenerator(device).clone();
    call.state.generators.push_back(generator);
  }
  return call.fromNumber(static_cast<double>(call.state.generators.size() - 1));
}

napi_value seedGenerator(Call& call) {
  at::Generator& generator = generatorOf(call);
  std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_current_seed(static_cast<uint64_t>(call.integer(1)));
  return call.undefined();
}

napi_value generatorState(Call& call) {
  at::Generator& generator = generatorOf(call);
  std::lock_guard<std::mutex> lock(generator.mutex());
  return call.fromNumber(call.state.slots.add(generator.get_state()));
}

napi_value setGeneratorState(Call& call) {
  const at::Tensor state = call.tensor(1);
  at::Generator& generator = generatorOf(call);
  std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_state(state);
  return call.undefined();
}

// seedAll(seed): the default generator of every device
napi_value seedAll(Call& call) {
  at::manual_seed(static_cast<uint64_t>(call.integer(0)));
  return call.undefined();
}

// setFlags(deterministic, tf32): process-wide switches of LibTorch
napi_value setFlags(Call& call) {
  at::globalContext().setDeterministicAlgorithms(call.boolean(0), /*warn_only=*/false);
#if ADAPT_TORCH_AT_LEAST(2, 2)
  // Filling what `empty` gives shows reads of unwritten memory; it makes no result more repeatable.
  at::globalContext().setDeterministicFillUninitializedMemory(false);
#endif
  at::globalContext().setAllowTF32CuBLAS(call.boolean(1));
  return call.undefined();
}

}  // namespace

void exportSystem(napi_env env, napi_value exports) {
  exportFunction(env, exports, "info", guarded<info>);
  exportFunction(env, exports, "setNumThreads", guarded<setNumThreads>);
  exportFunction(env, exports, "loadLibrary", guarded<loadLibrary>);
  exportFunction(env, exports, "memoryStats", guarded<memoryStats>);
  exportFunction(env, exports, "resetPeak", guarded<resetPeak>);
  exportFunction(env, exports, "emptyCache", guarded<emptyCache>);
  exportFunction(env, exports, "newGenerator", guarded<newGenerator>);
  exportFunction(env, exports, "seedGenerator", guarded<seedGenerator>);
  exportFunction(env, exports, "generatorState", guarded<generatorState>);
  exportFunction(env, exports, "setGeneratorState", guarded<setGeneratorState>);
  exportFunction(env, exports, "seedAll", guarded<seedAll>);
  exportFunction(env, exports, "setFlags", guarded<setFlags>);
}

}  // namespace adapt
