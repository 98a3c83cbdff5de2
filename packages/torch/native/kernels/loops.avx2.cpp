#if defined(__x86_64__)
#include "attention_loops.h"
#include "loops.h"

namespace adapt {

const Loops kAvx2Loops = {"avx2", attentionScratch, attentionForward, attentionBackwardScratch, attentionBackward};

}  // namespace adapt
#endif
