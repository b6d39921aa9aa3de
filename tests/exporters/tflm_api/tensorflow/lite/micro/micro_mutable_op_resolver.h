// See micro_interpreter.h.
#pragma once
#include <cstddef>
#include <cstdint>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_generated.h"

TFLM_BEGIN

class BuiltinDataAllocator;

struct TFLMRegistration {
  void* (*init)();
  void (*free)();
  void (*prepare)();
  void (*invoke)();
  void (*reset)();
  int32_t builtin_code;
  const char* custom_name;
};

class MicroOpResolver {
 public:
  using Parse = TfLiteStatus (*)(const Operator*, BuiltinDataAllocator*, void**);
  virtual const TFLMRegistration* FindOp(BuiltinOperator op) const = 0;
  virtual const TFLMRegistration* FindOp(const char* op) const = 0;
  virtual Parse GetOpDataParser(BuiltinOperator op) const = 0;
  virtual ~MicroOpResolver() {}
};

#define TESTED_OPERATORS(DO) \
  DO(Add, ADD, Add, 0) \
  DO(AveragePool2D, AVERAGE_POOL_2D, Pool, 1) \
  DO(Conv2D, CONV_2D, Conv2D, 3) \
  DO(DepthwiseConv2D, DEPTHWISE_CONV_2D, DepthwiseConv2D, 4) \
  DO(FullyConnected, FULLY_CONNECTED, FullyConnected, 9) \
  DO(Logistic, LOGISTIC, Logistic, 14) \
  DO(MaxPool2D, MAX_POOL_2D, Pool, 17) \
  DO(Mul, MUL, Mul, 18) \
  DO(Reshape, RESHAPE, Reshape, 22) \
  DO(Softmax, SOFTMAX, Softmax, 25) \
  DO(Pad, PAD, Pad, 34) \
  DO(Mean, MEAN, Reducer, 40) \
  DO(Sub, SUB, Sub, 41) \
  DO(ReduceMax, REDUCE_MAX, Reducer, 82) \
  DO(HardSwish, HARD_SWISH, HardSwish, 117)

#define DECLARE(method, name, parser, number) \
  TFLMRegistration Register_##name();         \
  TfLiteStatus Parse##parser(const Operator*, BuiltinDataAllocator*, void**);
TESTED_OPERATORS(DECLARE)
#undef DECLARE

template <unsigned int tOpCount>
class MicroMutableOpResolver : public MicroOpResolver {
 public:
#define DEFINE(method, name, parser, number) \
  TfLiteStatus Add##method() { return AddBuiltin(number, Register_##name(), Parse##parser); }
  TESTED_OPERATORS(DEFINE)
#undef DEFINE

  const TFLMRegistration* FindOp(BuiltinOperator op) const override {
    for (unsigned int i = 0; i < count_; ++i) {
      if (registrations_[i].builtin_code == op) return &registrations_[i];
    }
    return nullptr;
  }
  const TFLMRegistration* FindOp(const char*) const override { return nullptr; }
  Parse GetOpDataParser(BuiltinOperator op) const override {
    for (unsigned int i = 0; i < count_; ++i) {
      if (registrations_[i].builtin_code == op) return parsers_[i];
    }
    return nullptr;
  }

 private:
  TfLiteStatus AddBuiltin(int32_t op, const TFLMRegistration& registration, Parse parser) {
    if (count_ >= tOpCount) return kTfLiteError;  // as TFLM: too small a resolver is an error
    registrations_[count_] = registration;
    registrations_[count_].builtin_code = op;
    parsers_[count_++] = parser;
    return kTfLiteOk;
  }

  TFLMRegistration registrations_[tOpCount];
  Parse parsers_[tOpCount];
  unsigned int count_ = 0;
};

TFLM_END
