#include "loops_table.h"

namespace adapt {

const Loops kGenericLoops = loopsCalled("generic");

}  // namespace adapt
