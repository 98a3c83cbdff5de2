#if defined(__x86_64__)
#include "loops_table.h"

namespace adapt {

const Loops kAvx512Loops = loopsCalled("avx512");

}  // namespace adapt
#endif
