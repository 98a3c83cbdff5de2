#if defined(__x86_64__)
#include "attention_loops.h"
#include "loops.h"

namespace adapt {

const Loops kAvx512Loops = {"avx512", attentionScratch, attentionForward, attentionBackwardScratch, attentionBackward};

}  // namespace adapt
#endif
