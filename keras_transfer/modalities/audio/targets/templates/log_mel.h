// Written by keras-transfer $version. From samples to the model's input, a log-mel spectrogram, in whole numbers alone.
// Samples are int16 at kSampleRate, one channel.
#ifndef LOG_MEL_H_
#define LOG_MEL_H_

#include <cstdint>

constexpr int kSampleRate = $sample_rate;
constexpr int kWindow = $window;  // samples of a frame
constexpr int kHop = $hop;  // from one frame to the next
constexpr int kFrames = $frames;  // that the model takes
constexpr int kMels = $mels;

// The bands of one frame: kWindow samples become kMels natural logarithms, in 1/512. Not for several threads at once.
void LogMelFrame(const int16_t* samples, int16_t* logs);

// What the model takes: kFrames frames of logarithms, of which frame `first` is the first and the others follow in a ring,
// become kFrames * kMels bytes.
void LogMelInput(const int16_t* logs, int first, int8_t* input);

#endif  // LOG_MEL_H_
