#include "loops.h"

#include <cstdlib>
#include <string>

namespace adapt {
namespace {

const Loops& choose() {
#if defined(__x86_64__)
  const char* named = std::getenv("ATEN_CPU_CAPABILITY");
  const std::string allowed = named ? named : "avx512";
  if (allowed == "default") return kGenericLoops;
  __builtin_cpu_init();
  const bool hasAvx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool hasAvx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (hasAvx512 && hasAvx2 && allowed != "avx2") return kAvx512Loops;
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
