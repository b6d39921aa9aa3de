// Written by keras-transfer $version.
#include "classifier.h"

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_log.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

// Optimized kernels (CMSIS-NN, ESP-NN) may want scratch memory beside what kTensorArenaSize was measured with.
#ifndef TENSOR_ARENA_EXTRA
#define TENSOR_ARENA_EXTRA 0
#endif

// TFLM's classes moved from tflite to tflite::micro in 2026: this finds them in either.
namespace tflite {
namespace micro {}
}  // namespace tflite
using namespace tflite;         // NOLINT
using namespace tflite::micro;  // NOLINT

namespace {

constexpr int kSchemaVersion = 3;
constexpr unsigned int kOperatorCount = $operator_count;
alignas(16) uint8_t g_arena[kTensorArenaSize + TENSOR_ARENA_EXTRA];
MicroInterpreter* g_interpreter = nullptr;

bool AddOperators(MicroMutableOpResolver<kOperatorCount>& resolver) {
  return $operators;
}

}  // namespace

bool ClassifierBegin() {
  if (g_interpreter != nullptr) return true;
  const tflite::Model* model = tflite::GetModel(g_model);
  if (model->version() != kSchemaVersion) {
    MicroPrintf("The model's flash holds no LiteRT file of version %d.", kSchemaVersion);
    return false;
  }
  static MicroMutableOpResolver<kOperatorCount> resolver;
  static const bool added = AddOperators(resolver);
  if (!added) {
    MicroPrintf("This TFLM lacks an operator of the model.");
    return false;
  }
  static MicroInterpreter interpreter(model, resolver, g_arena, sizeof(g_arena));
  if (interpreter.AllocateTensors() != kTfLiteOk) {
    MicroPrintf("AllocateTensors failed with an arena of %d bytes: raise TENSOR_ARENA_EXTRA.",
                static_cast<int>(sizeof(g_arena)));
    return false;
  }
  g_interpreter = &interpreter;
  return true;
}

int8_t* ClassifierInput() { return g_interpreter->input(0)->data.int8; }

const int8_t* ClassifierRun() {
  if (g_interpreter->Invoke() != kTfLiteOk) return nullptr;
  return g_interpreter->output(0)->data.int8;
}
$unlikeness_source