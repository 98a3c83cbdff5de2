// adapt::attention: causal attention over sequences that stand one after another, with its gradient, on the CPU.
// N positions of queries, M of keys, H heads of queries, K of keys, E head size.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "../environment.h"
#include "loops.h"
#include "parallel.h"
#include "shared_keys.h"

namespace adapt {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

void require(bool holds, const char* message) {
  TORCH_CHECK(holds, "adapt::attention: ", message);
}

// Rows of E contiguous numbers, heads side by side; positions any distance apart.
at::Tensor withDenseHeads(const at::Tensor& x) {
  return x.stride(2) == 1 && x.stride(1) == x.size(2) ? x : x.contiguous();
}

void checkInputs(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value) {
  for (const at::Tensor* x : {&query, &key, &value}) {
    require(x->dim() == 3 && x->device().is_cpu(), "expected three dimensions on the CPU");
    require(x->scalar_type() == query.scalar_type(), "expected one dtype");
  }
  require(query.scalar_type() == at::kFloat || query.scalar_type() == at::kBFloat16, "expected float32 or bfloat16");
  require(key.sizes() == value.sizes(), "keys and values differ in shape");
  require(key.size(2) == query.size(2) && key.size(2) > 0, "head sizes differ");
  require(key.size(1) > 0 && query.size(1) % key.size(1) == 0, "heads of queries must be a multiple of those of keys");
}

std::vector<int32_t> startsOf(const at::Tensor& starts, int64_t numPositions) {
  require(starts.scalar_type() == at::kInt && starts.dim() == 1 && starts.size(0) >= 1, "expected int32 starts [samples + 1]");
  const at::Tensor plain = starts.contiguous();
  const int32_t* data = plain.data_ptr<int32_t>();
  std::vector<int32_t> values(data, data + plain.size(0));
  require(values.front() == 0 && values.back() == numPositions && std::is_sorted(values.begin(), values.end()),
          "starts must ascend from 0 to the number of positions");
  return values;
}

at::Tensor placesOf(const c10::optional<at::Tensor>& places, int64_t numPositions) {
  if (!places.has_value() || !places->defined()) return {};
  require(places->scalar_type() == at::kInt && places->dim() == 1, "expected int32 places [keys]");
  const at::Tensor plain = places->contiguous();
  const int32_t* data = plain.data_ptr<int32_t>();
  require(std::all_of(data, data + plain.size(0), [&](int32_t p) { return p >= 0 && p < numPositions; }),
          "a place is outside the keys");
  return plain;
}

// In the order of their queries.
std::vector<Sequence> sequencesOf(int64_t numQueries, int64_t numKeys, const at::Tensor& queryStarts,
                                  const at::Tensor& keyStarts) {
  const auto queries = startsOf(queryStarts, numQueries);
  const auto keys = startsOf(keyStarts, numKeys);
  require(queries.size() == keys.size(), "queries and keys have different numbers of sequences");
  std::vector<Sequence> sequences;
  for (size_t i = 0; i + 1 < queries.size(); i++) {
    const Sequence s{queries[i], queries[i + 1] - queries[i], keys[i], keys[i + 1] - keys[i]};
    require(s.numKeys >= s.numQueries, "a sequence has more queries than keys");
    if (s.numQueries > 0) sequences.push_back(s);
  }
  return sequences;
}

char* address(const at::Tensor& x, int64_t position, int64_t column) {
  return static_cast<char*>(x.data_ptr()) + (position * x.stride(0) + column) * x.element_size();
}

// What the kernels are asked about: queries, keys and values with dense heads, and where the results go.
struct Attending {
  const at::Tensor query, key, value, output, logSumExp;
  const int32_t* places;  // of the keys of all sequences; null where they are their own positions
  int64_t window;

  int64_t heads() const { return key.size(1); }
  int64_t headDim() const { return key.size(2); }
  int64_t groups() const { return query.size(1) / heads(); }

  AttentionItem item(const Sequence& s, int64_t head) const {
    const int64_t E = headDim(), G = groups();
    AttentionItem item{};
    item.isBfloat16 = query.scalar_type() == at::kBFloat16;
    item.numQueries = s.numQueries, item.numKeys = s.numKeys, item.headDim = E, item.numGroups = G;
    item.offset = s.numKeys - s.numQueries;
    item.window = window > 0 ? window : s.numKeys;
    item.queryStride = query.stride(0), item.keyStride = key.stride(0), item.valueStride = value.stride(0);
    item.query = address(query, s.query, head * G * E);
    item.key = address(key, places ? 0 : s.key, head * E);
    item.value = address(value, places ? 0 : s.key, head * E);
    item.keyPlaces = places ? places + s.key : nullptr;
    item.output = address(output, s.query, head * G * E);
    item.outputStride = output.stride(0);
    item.logSumExp = logSumExp.data_ptr<float>() + head * G * logSumExp.stride(0) + s.query;
    item.logSumExpStride = logSumExp.stride(0);
    return item;
  }
};

// Calls work(item, sequence, head of keys) for every sequence and head. Longest first: they decide when the last thread is done.
template <typename Work>
void forEachItem(const Attending& attending, std::vector<Sequence> sequences, int64_t (*scratchOf)(int64_t, int64_t),
                 Work work) {
  std::stable_sort(sequences.begin(), sequences.end(), [](const Sequence& a, const Sequence& b) {
    return a.numQueries * a.numKeys > b.numQueries * b.numKeys;
  });
  const int64_t K = attending.heads();
  int64_t scratch = 0;
  for (const Sequence& s : sequences) scratch = std::max(scratch, scratchOf(s.numKeys, attending.headDim()));
  forEachIndex(static_cast<int64_t>(sequences.size()) * K, scratch, [&](int64_t index, float* memory) {
    const Sequence& s = sequences[index / K];
    AttentionItem item = attending.item(s, index % K);
    work(item, s, index % K, memory);
  });
}

// Shared keys with queries in pieces that are looked at apart: large ones, because each reads the keys, but enough for all threads to have some.
std::vector<Sequence> inPieces(const std::vector<Sequence>& shared, int64_t numHeads) {
  constexpr int64_t kMost = 8 * kKeyBlock, kPiecesOfThread = 4;
  int64_t numQueries = 0;
  for (const Sequence& s : shared) numQueries += s.numQueries;
  const int64_t share = numQueries * numHeads / (kPiecesOfThread * at::get_num_threads());
  const int64_t size = std::clamp(share / kKeyBlock * kKeyBlock, kKeyBlock, kMost);
  std::vector<Sequence> pieces;
  for (const Sequence& s : shared) {
    for (int64_t done = 0; done < s.numQueries; done += size) {
      pieces.push_back(s);
      pieces.back().query += done;
      pieces.back().numQueries = std::min(size, s.numQueries - done);
    }
  }
  return pieces;
}

void attendAll(const Attending& attending, std::vector<Sequence> sequences) {
  const Loops& kernel = loops();
  const int64_t H = attending.query.size(1), G = attending.groups();
  std::vector<std::vector<Sequence>> shared;
  if (attending.places != nullptr && attending.window <= 0) shared = takeSharedKeys(attending.places, G, sequences);
  at::Tensor states;
  if (!shared.empty()) {
    states = at::empty({H, attending.query.size(0), kernel.attentionStateWidth(attending.headDim())}, at::kFloat);
  }
  const auto forward = [&](AttentionItem& item, const Sequence& s, int64_t head, float* memory) {
    if (states.defined()) {
      item.states = states.data_ptr<float>() + head * G * states.stride(0) + s.query * states.stride(1);
      item.statesStride = states.stride(0);
    }
    item.goesOn = s.goesOn;
    kernel.attentionForward(item, memory);
  };
  for (const std::vector<Sequence>& level : shared) {
    forEachItem(attending, inPieces(level, attending.heads()), kernel.attentionScratch,
                [&](AttentionItem& item, const Sequence& s, int64_t head, float* memory) {
                  // All queries look at all of them.
                  item.offset = s.numKeys;
                  item.window = s.numKeys + s.numQueries;
                  item.isPart = true;
                  forward(item, s, head, memory);
                });
  }
  forEachItem(attending, std::move(sequences), kernel.attentionScratch, forward);
}

struct Attended {
  at::Tensor output, logSumExp;
};

Attended attend(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const at::Tensor& queryStarts,
                const at::Tensor& keyStarts, int64_t window, const c10::optional<at::Tensor>& keyPlaces = {}) {
  checkInputs(query, key, value);
  const at::Tensor places = placesOf(keyPlaces, key.size(0));
  const int64_t numKeys = places.defined() ? places.size(0) : key.size(0);
  const Attending attending{withDenseHeads(query),
                            withDenseHeads(key),
                            withDenseHeads(value),
                            at::empty(query.sizes(), query.options()),
                            at::empty({query.size(1), query.size(0)}, query.options().dtype(at::kFloat)),
                            places.defined() ? places.data_ptr<int32_t>() : nullptr,
                            window};
  attendAll(attending, sequencesOf(query.size(0), numKeys, queryStarts, keyStarts));
  return {attending.output, attending.logSumExp};
}

class Attention : public torch::autograd::Function<Attention> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& query, const at::Tensor& key,
                            const at::Tensor& value, const at::Tensor& queryStarts, const at::Tensor& keyStarts,
                            int64_t window) {
    const Attended attended = attend(query, key, value, queryStarts, keyStarts, window);
    context->save_for_backward({query, key, value, queryStarts, keyStarts, attended.output, attended.logSumExp});
    context->saved_data["window"] = window;
    return attended.output;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    RECORD_FUNCTION("adapt::attention_backward", c10::ArrayRef<const c10::IValue>());
    const variable_list saved = context->get_saved_variables();
    const Attending attending{withDenseHeads(saved[0]),
                              withDenseHeads(saved[1]),
                              withDenseHeads(saved[2]),
                              saved[5],
                              saved[6],
                              nullptr,
                              context->saved_data["window"].toInt()};
    const at::Tensor &query = attending.query, &key = attending.key;
    const at::Tensor outputGradient = gradients[0].contiguous();
    const at::Tensor queryGradient = at::empty(query.sizes(), query.options());
    // Keys of a sequence without queries get none.
    const at::Tensor keyGradient = at::zeros(key.sizes(), key.options());
    const at::Tensor valueGradient = at::zeros(key.sizes(), key.options());
    const Loops& kernel = loops();
    forEachItem(attending, sequencesOf(query.size(0), key.size(0), saved[3], saved[4]), kernel.attentionBackwardScratch,
                [&](AttentionItem& item, const Sequence& s, int64_t head, float* memory) {
                  const int64_t E = item.headDim, first = head * item.numGroups * E;
                  item.outputGradient = address(outputGradient, s.query, first);
                  item.queryGradient = address(queryGradient, s.query, first);
                  item.keyGradient = address(keyGradient, s.key, head * E);
                  item.valueGradient = address(valueGradient, s.key, head * E);
                  item.queryGradientStride = queryGradient.stride(0);
                  item.keyGradientStride = keyGradient.stride(0);
                  kernel.attentionBackward(item, memory);
                });
    return {queryGradient, keyGradient, valueGradient, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

at::Tensor attentionForInference(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                                 const at::Tensor& queryStarts, const at::Tensor& keyStarts, int64_t window,
                                 const c10::optional<at::Tensor>& keyPlaces) {
  return attend(query, key, value, queryStarts, keyStarts, window, keyPlaces).output;
}

at::Tensor attentionWithGradient(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                                 const at::Tensor& queryStarts, const at::Tensor& keyStarts, int64_t window,
                                 const c10::optional<at::Tensor>& keyPlaces) {
  const bool hasPlaces = keyPlaces.has_value() && keyPlaces->defined();
  if (!hasPlaces) return Attention::apply(query, key, value, queryStarts, keyStarts, window);
  const bool wantsGradient = query.requires_grad() || key.requires_grad() || value.requires_grad();
  require(!at::GradMode::is_enabled() || !wantsGradient, "keys at places have no gradient");
  return attentionForInference(query, key, value, queryStarts, keyStarts, window, keyPlaces);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(adapt, library) {
  library.def(
      "attention(Tensor query, Tensor key, Tensor value, Tensor query_starts, Tensor key_starts, int window, "
      "Tensor? key_places=None) -> Tensor");
}
TORCH_LIBRARY_IMPL(adapt, CPU, library) { library.impl("attention", attentionForInference); }
TORCH_LIBRARY_IMPL(adapt, AutogradCPU, library) { library.impl("attention", attentionWithGradient); }

}  // namespace adapt
