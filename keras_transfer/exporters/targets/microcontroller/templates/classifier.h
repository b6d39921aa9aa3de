// Written by keras-transfer $version. The model as three functions.
#ifndef CLASSIFIER_H_
#define CLASSIFIER_H_

#include <math.h>

#include <cstdint>

#include "model.h"

// Sets the model up, once. False where it does not fit its arena or this TFLM; the reason is logged.
bool ClassifierBegin();

// Where the input goes, kInputBytes of it: fill it anew before every run, since running overwrites it.
int8_t* ClassifierInput();

// Runs the model. Returns kClassCount scores, good until the next run, or a null pointer where it failed.
const int8_t* ClassifierRun();
$unlikeness_header
$quantize

// The probability that a score stands for.
inline float Probability(int8_t score) { return (score - kOutputZeroPoint) * kOutputScale; }

// The class with the best score or probability; the first of equals.
template <typename Score>
inline int BestClass(const Score* scores) {
  int best = 0;
  for (int i = 1; i < kClassCount; ++i) {
    if (scores[i] > scores[best]) best = i;
  }
  return best;
}

#endif  // CLASSIFIER_H_
