// Written by keras-transfer $version. Takes samples as a sensor measures them and says what they show, over and over.
#ifndef SENSOR_H_
#define SENSOR_H_

#include "classifier.h"

// Samples a second of the series that the model was trained on; 0 where nobody said.
constexpr float kSampleRate = ${rate}f;
// Moments from one run of the model to the next: raise it where the chip takes longer.
constexpr int kHop = $hop;
// How much of the scores is what was seen before, 0 (nothing) to below 1: against single wrong answers.
constexpr float kMemory = 0.5f;

// Adds one moment: kInputChannels samples in the units of the training data. Where the model was run on the kInputLength
// moments up to it, this returns kClassCount probabilities, smoothed, good until the next run; else a null pointer.
// Begin with ClassifierBegin().
const float* Sense(const float* samples);

#endif  // SENSOR_H_
