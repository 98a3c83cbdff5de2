#if defined(__x86_64__)
#include "attention_loops.h"
#include "loops.h"
#include "rms_norm_loops.h"
#include "rotary_loops.h"
#include "swiglu_loops.h"

namespace adapt {

const Loops kAvx2Loops = {"avx2", attentionScratch, attentionForward, attentionBackwardScratch, attentionBackward,
                            rmsNormForward, rmsNormBackward, rotaryForward, rotaryBackward, swigluForward, swigluBackward};

}  // namespace adapt
#endif
