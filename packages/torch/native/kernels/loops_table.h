// All inner loops, as the file that includes this is compiled.
#pragma once

#include "attention_loops.h"
#include "cross_entropy_loops.h"
#include "loops.h"
#include "rms_norm_loops.h"
#include "rotary_loops.h"
#include "swiglu_loops.h"
#include "unit_rows_loops.h"

namespace adapt {
namespace {

constexpr Loops loopsCalled(const char* name) {
  return {name,
          attentionScratch, attentionForward, attentionStateWidth, attentionBackwardScratch, attentionBackward,
          rmsNormForward, rmsNormBackward, unitRows, dotRows, rotaryForward, rotaryBackward,
          swigluForward, swigluBackward, transpose, crossEntropyScratch, crossEntropy};
}

}  // namespace
}  // namespace adapt
