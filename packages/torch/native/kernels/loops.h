// The inner loops of the kernels: plain functions on raw memory, compiled once for each instruction set of x86-64 and chosen
// by what the processor can do. Numbers are float32 or bfloat16 (as uint16_t) in memory and float32 in between.
#pragma once

#include <cstdint>

namespace adapt {

// Keys that attention takes together, from the first of a sequence on.
constexpr int64_t kKeyBlock = 64;

// One sequence and one head of keys, with the `numGroups` heads of queries that share it. Lengths and strides in numbers, not bytes.
struct AttentionItem {
  bool isBfloat16;
  int64_t numQueries, numKeys, headDim, numGroups;
  int64_t offset;  // query t looks at keys up to offset + t
  int64_t window;  // positions that a position looks back to, itself included
  int64_t queryStride, keyStride, valueStride;  // from one position to the next
  // Heads of queries of a group lie headDim apart.
  const void *query, *key, *value;
  const int32_t* keyPlaces;  // [numKeys], positions of the keys from `key` on; null where they follow one another
  void* output;           // strides of the query
  int64_t outputStride;
  float* logSumExp;       // [numGroups, numQueries], from one head to the next logSumExpStride
  int64_t logSumExpStride;
  // Forward only. Where these are not all keys of the queries: what was found in those before, and what is found with these, without an output.
  bool goesOn, isPart;
  float* states;  // [numGroups, numQueries, attentionStateWidth], from one head to the next statesStride
  int64_t statesStride;
  // Backward only.
  const void* outputGradient;  // strides of the output
  void *queryGradient, *keyGradient, *valueGradient;
  int64_t queryGradientStride, keyGradientStride;
};

// Rows of `width` numbers one after another, normalised.
struct NormRows {
  bool isInputBfloat16, isOutputBfloat16;
  int64_t numRows, width;
  double epsilon;
  const void* input;
  const float* weight;  // [width]
  void* output;
  float* inverse;  // [numRows], 1 / root mean square
  // Backward only.
  const void* outputGradient;
  void* inputGradient;    // null where it is not wanted
  float* weightGradient;  // [width], the sum over these rows; null where it is not wanted
};

// Rows of `width` numbers one after another, made as long as 1 after something is subtracted from each.
struct CentredRows {
  int64_t numRows, width;
  double epsilon;  // least length that is divided by
  const float* input;
  const float* mean;  // [width]; null: nothing
  float* output;
};

// Heads of one position, each of two halves of `half` numbers.
struct RotaryHeads {
  bool isInputBfloat16, isOutputBfloat16;
  int64_t numHeads, half;
  const void* input;
  int64_t inputStride;  // from one head to the next
  const float *cosine, *sine;  // [2 half]
  int64_t cosineStride, sineStride;  // from one head to the next
  void* output;  // heads side by side
};

// Numbers one after another.
struct GatedNumbers {
  bool isBfloat16;
  int64_t count;
  const void *gate, *up;
  void* output;
  // Backward only.
  const void* outputGradient;
  void *gateGradient, *upGradient;
};

// Logits of one position, of the vocabulary one after another.
struct LogitRow {
  bool isBfloat16;
  int64_t count, label;
  void* logits;
};

struct Loops {
  const char* name;
  // Numbers of scratch memory that one item takes, 64 bytes aligned.
  int64_t (*attentionScratch)(int64_t numKeys, int64_t headDim);
  void (*attentionForward)(const AttentionItem& item, float* scratch);
  int64_t (*attentionStateWidth)(int64_t headDim);  // numbers of a state
  int64_t (*attentionBackwardScratch)(int64_t numKeys, int64_t headDim);
  void (*attentionBackward)(const AttentionItem& item, float* scratch);
  void (*rmsNormForward)(const NormRows& rows);
  void (*rmsNormBackward)(const NormRows& rows);
  void (*unitRows)(const CentredRows& rows);
  // Of rows one after another with a vector: [numRows].
  void (*dotRows)(const float* rows, int64_t numRows, int64_t width, const float* vector, float* output);
  void (*rotaryForward)(const RotaryHeads& heads);
  void (*rotaryBackward)(const RotaryHeads& heads);
  void (*swigluForward)(const GatedNumbers& numbers);
  void (*swigluBackward)(const GatedNumbers& numbers);
  // [rows, columns] -> [columns, rows], each from one row to the next by its stride.
  void (*transpose)(const float* from, int64_t fromStride, int64_t rows, int64_t columns, float* to, int64_t toStride);
  int64_t (*crossEntropyScratch)(int64_t count);
  // The loss of a row, which becomes the gradient.
  float (*crossEntropy)(const LogitRow& row, float* scratch);
};

extern const Loops kGenericLoops;
#if defined(__x86_64__)
extern const Loops kAvx2Loops;
extern const Loops kAvx512Loops;
extern const Loops* const kAvx512Bf16Loops;  // null where the compiler did not know the instructions
#endif

// Those of the best instruction set that this processor has and ATEN_CPU_CAPABILITY (default, avx2, avx512) allows. Named avx512, it is
// without the products of bfloat16.
const Loops& loops();

}  // namespace adapt
