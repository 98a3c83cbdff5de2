#include "attention_loops.h"
#include "loops.h"
#include "rms_norm_loops.h"
#include "rotary_loops.h"
#include "swiglu_loops.h"

namespace adapt {

const Loops kGenericLoops = {"generic", attentionScratch, attentionForward, attentionBackwardScratch, attentionBackward,
                            rmsNormForward, rmsNormBackward, rotaryForward, rotaryBackward, swigluForward, swigluBackward};

}  // namespace adapt
