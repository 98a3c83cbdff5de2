#include "loops.h"

#include <cstdlib>
#include <string>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace adapt {
namespace {

#if defined(__x86_64__)
// Not every compiler that knows the instructions knows their name in __builtin_cpu_supports.
bool hasAvx512Bf16() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & (1u << 5)) != 0;
}
#endif

const Loops& choose() {
#if defined(__x86_64__)
  const char* named = std::getenv("ATEN_CPU_CAPABILITY");
  const std::string allowed = named ? named : "";
  if (allowed == "default") return kGenericLoops;
  __builtin_cpu_init();
  const bool hasAvx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool hasAvx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (hasAvx512 && hasAvx2 && allowed != "avx2") {
    const bool multipliesPairs = kAvx512Bf16Loops != nullptr && hasAvx512Bf16() && allowed != "avx512";
    return multipliesPairs ? *kAvx512Bf16Loops : kAvx512Loops;
  }
  if (hasAvx2) return kAvx2Loops;
#endif
  return kGenericLoops;
}

}  // namespace

const Loops& loops() {
  static const Loops& chosen = choose();
  return chosen;
}

}  // namespace adapt
