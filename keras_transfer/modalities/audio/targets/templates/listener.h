// Written by keras-transfer $version. Takes samples as they come and says what is to be heard, over and over.
#ifndef LISTENER_H_
#define LISTENER_H_

#include "classifier.h"
#include "log_mel.h"

// Frames from one run of the model to the next: raise it where the chip takes longer than that ($interval_ms ms).
constexpr int kInterval = $interval;
// How much of the scores is what was heard before, 0 (nothing) to below 1: against single wrong answers.
constexpr float kMemory = 0.5f;

// Adds up to kHop samples, int16 at kSampleRate. Where the model was run on them, and on the kFrames frames up to them, it
// returns kClassCount probabilities, smoothed, good until the next run; else a null pointer. Begin with ClassifierBegin().
const float* Listen(const int16_t* samples, int count);

#endif  // LISTENER_H_
