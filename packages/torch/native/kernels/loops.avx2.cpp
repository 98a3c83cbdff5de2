#if defined(__x86_64__)
#include "loops_table.h"

namespace adapt {

const Loops kAvx2Loops = loopsCalled("avx2");

}  // namespace adapt
#endif
