// What the written sources use of TFLM, declared anew for the tests: no registry has TFLM's headers of today. Code that
// compiles with these declarations is then linked with TFLM's own library of today (the `tflite-micro` package), whose
// symbols carry namespaces, classes and argument types: a declaration that is not TFLM's does not link.
#pragma once
#include <cstddef>
#include <cstdint>

#include "tensorflow/lite/schema/schema_generated.h"

#ifdef TFLM_BEFORE_2026  // when all of it was in tflite
#define TFLM_BEGIN namespace tflite {
#define TFLM_END }
#else
#define TFLM_BEGIN namespace tflite { namespace micro {
#define TFLM_END } }
#endif

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };

struct TfLiteTensor {  // as of TF_LITE_STATIC_MEMORY
  struct {
    int type;
    void* params;
  } quantization;
  struct {
    float scale;
    int32_t zero_point;
  } params;
  union {
    int8_t* int8;
    void* data;
  } data;
  void* dims;
  size_t bytes;
};

TFLM_BEGIN

class MicroOpResolver;
class MicroResourceVariables;
class MicroProfilerInterface;

class MicroInterpreter {
 public:
  MicroInterpreter(const Model* model, const MicroOpResolver& op_resolver, uint8_t* tensor_arena,
                   size_t tensor_arena_size, MicroResourceVariables* resource_variables = nullptr,
                   MicroProfilerInterface* profiler = nullptr, bool preserve_all_tensors = false);
  ~MicroInterpreter();
  TfLiteStatus AllocateTensors();
  TfLiteStatus Invoke();
  TfLiteTensor* input(size_t index);
  TfLiteTensor* output(size_t index);

 private:
  alignas(16) char members_[4096];  // more than TFLM's
};

TFLM_END
