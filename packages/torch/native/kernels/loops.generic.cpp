#include "attention_loops.h"
#include "loops.h"
#include "rms_norm_loops.h"
#include "rotary_loops.h"

namespace adapt {

const Loops kGenericLoops = {"generic", attentionScratch, attentionForward, attentionBackwardScratch, attentionBackward,
                            rmsNormForward, rmsNormBackward, rotaryForward, rotaryBackward};

}  // namespace adapt
