#if defined(__x86_64__)
#include "loops_table.h"

namespace adapt {

// Where the compiler does not know the instructions there are none.
#if defined(__AVX512BF16__)
namespace {
constexpr Loops kHere = loopsCalled("avx512bf16");
}
const Loops* const kAvx512Bf16Loops = &kHere;
#else
const Loops* const kAvx512Bf16Loops = nullptr;
#endif

}  // namespace adapt
#endif
