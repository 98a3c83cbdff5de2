#include "attention_loops.h"
#include "loops.h"

namespace adapt {

const Loops kGenericLoops = {"generic", attentionScratch, attentionForward, attentionBackwardScratch, attentionBackward};

}  // namespace adapt
