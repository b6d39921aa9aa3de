// Written by keras-transfer $version. An example: classifies lines of numbers from its standard input as they come, such as
//   ./main < recording.csv
// A line is a moment: kInputChannels numbers in the order of the model's channels, between commas, semicolons, tabs or
// blanks. Lines that are no such samples, a heading or a device's greeting, are passed over.
#include <cstdio>
#include <cstdlib>

#include "sensor.h"

static bool ReadMoment(const char* line, float* samples) {
  for (int i = 0; i < kInputChannels; ++i) {
    char* end;
    samples[i] = static_cast<float>(strtod(line, &end));
    if (end == line) return false;
    while (*end == ',' || *end == ';' || *end == ' ' || *end == '\t') ++end;
    line = end;
  }
  return *line == '\n' || *line == '\r' || *line == '\0';
}

int main() {
  if (!ClassifierBegin()) return 1;
  char line[4096];
  float samples[kInputChannels];
  long moments = 0;
  while (fgets(line, sizeof(line), stdin) != nullptr) {
    if (!ReadMoment(line, samples)) continue;
    ++moments;
    const float* scores = Sense(samples);
    if (scores == nullptr) continue;
    const int best = BestClass(scores);
    printf("%.2f%s: %s%s, %d%%\n", moments / (kSampleRate > 0 ? static_cast<double>(kSampleRate) : 1.0),
           kSampleRate > 0 ? " s" : " samples", ClassifierRejects() ? "none of these; likeliest " : "",
           g_labels[best], static_cast<int>(100 * scores[best] + 0.5f));
    fflush(stdout);
  }
  return 0;
}
