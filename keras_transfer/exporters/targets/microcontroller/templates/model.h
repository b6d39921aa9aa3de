// Written by keras-transfer $version. The model, and all that its user must know of it.
#ifndef MODEL_H_
#define MODEL_H_

#include <cstddef>
#include <cstdint>

// The LiteRT file (model.tflite, sha256 $sha256).
extern const unsigned char g_model[];
extern const unsigned int g_model_len;
constexpr char kModelHash[] = "$hash";  // what logs call it

$declaration
constexpr float kInputScale = ${input_scale}f;
constexpr int kInputZeroPoint = $input_zero_point;

// Output: one score a class; its probability is (score - kOutputZeroPoint) * kOutputScale.
constexpr int kClassCount = $classes;
constexpr float kOutputScale = ${output_scale}f;
constexpr int kOutputZeroPoint = $output_zero_point;
extern const char* const g_labels[kClassCount];

// The tensor arena: $arena_why
constexpr size_t kTensorArenaSize = $arena;

#endif  // MODEL_H_
