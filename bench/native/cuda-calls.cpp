// Loaded before everything else (LD_PRELOAD), counts what a program asks of CUDA's runtime and how long it is held up
// there. The counters lie in the file that ADAPT_CUDA_CALLS names, so that the program can read them without a binding.
// Needs no CUDA headers. Calls that a library makes through a CUDA runtime of its own (cuBLAS) are not seen.
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

enum Counter { toDevice, toDeviceBytes, toHost, toHostBytes, onDevice, waits, waitNs, launches, launchNs, copyNs, allocations, numCounters };

std::atomic<uint64_t>* counters() {
  static std::atomic<uint64_t>* const mapped = [] {
    static std::atomic<uint64_t> nowhere[numCounters];
    const char* path = std::getenv("ADAPT_CUDA_CALLS");
    const int file = path ? open(path, O_RDWR | O_CREAT, 0600) : -1;
    if (file < 0 || ftruncate(file, sizeof nowhere) != 0) return nowhere;
    void* memory = mmap(nullptr, sizeof nowhere, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    return memory == MAP_FAILED ? nowhere : static_cast<std::atomic<uint64_t>*>(memory);
  }();
  return mapped;
}

void add(Counter counter, uint64_t value = 1) { counters()[counter].fetch_add(value, std::memory_order_relaxed); }

/** The real function. The runtime is loaded long after this library, and not for all to see: RTLD_NEXT misses it. */
void* real(const char* name) {
  static void* const runtime = [] {
    std::string path;
    dl_iterate_phdr(
        [](dl_phdr_info* info, size_t, void* out) {
          if (info->dlpi_name && std::strstr(info->dlpi_name, "libcudart.so")) *static_cast<std::string*>(out) = info->dlpi_name;
          return 0;
        },
        &path);
    return path.empty() ? nullptr : dlopen(path.c_str(), RTLD_LAZY | RTLD_NOLOAD);
  }();
  void* found = runtime ? dlsym(runtime, name) : nullptr;
  if (!found) std::abort();
  return found;
}

class Timed {
 public:
  explicit Timed(Counter counter) : counter_(counter), began_(std::chrono::steady_clock::now()) {}
  ~Timed() {
    add(counter_, std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - began_).count());
  }

 private:
  Counter counter_;
  std::chrono::steady_clock::time_point began_;
};

void countCopy(size_t bytes, int kind) {
  if (kind == 1) add(toDevice), add(toDeviceBytes, bytes);
  else if (kind == 2) add(toHost), add(toHostBytes, bytes);
  else if (kind == 3) add(onDevice);
}

struct Dim3 { unsigned x, y, z; };

}  // namespace

#define FORWARD(name, type) static const auto call = reinterpret_cast<type>(real(#name))
#define SHOWN extern "C" __attribute__((visibility("default"))) int

SHOWN cudaMemcpyAsync(void* to, const void* from, size_t bytes, int kind, void* stream) {
  FORWARD(cudaMemcpyAsync, int (*)(void*, const void*, size_t, int, void*));
  countCopy(bytes, kind);
  const Timed timed(copyNs);
  return call(to, from, bytes, kind, stream);
}

SHOWN cudaMemcpy(void* to, const void* from, size_t bytes, int kind) {
  FORWARD(cudaMemcpy, int (*)(void*, const void*, size_t, int));
  countCopy(bytes, kind);
  add(waits);
  const Timed timed(waitNs);
  return call(to, from, bytes, kind);
}

SHOWN cudaStreamSynchronize(void* stream) {
  FORWARD(cudaStreamSynchronize, int (*)(void*));
  add(waits);
  const Timed timed(waitNs);
  return call(stream);
}

SHOWN cudaDeviceSynchronize() {
  FORWARD(cudaDeviceSynchronize, int (*)());
  add(waits);
  const Timed timed(waitNs);
  return call();
}

SHOWN cudaEventSynchronize(void* event) {
  FORWARD(cudaEventSynchronize, int (*)(void*));
  add(waits);
  const Timed timed(waitNs);
  return call(event);
}

SHOWN cudaLaunchKernel(const void* function, Dim3 grid, Dim3 block, void** arguments, size_t shared, void* stream) {
  FORWARD(cudaLaunchKernel, int (*)(const void*, Dim3, Dim3, void**, size_t, void*));
  add(launches);
  const Timed timed(launchNs);
  return call(function, grid, block, arguments, shared, stream);
}

SHOWN cudaLaunchKernelExC(const void* config, const void* function, void** arguments) {
  FORWARD(cudaLaunchKernelExC, int (*)(const void*, const void*, void**));
  add(launches);
  const Timed timed(launchNs);
  return call(config, function, arguments);
}

SHOWN cudaMalloc(void** memory, size_t bytes) {
  FORWARD(cudaMalloc, int (*)(void**, size_t));
  add(allocations);
  return call(memory, bytes);
}
