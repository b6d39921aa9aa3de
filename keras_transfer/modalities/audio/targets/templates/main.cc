// Written by keras-transfer $version. An example: classifies sound from its standard input as it comes, such as
//   arecord -f S16_LE -r $sample_rate -c 1 -t raw | ./main
#include <cstdio>

#include "listener.h"

int main() {
  if (!ClassifierBegin()) return 1;
  int16_t samples[kHop];
  long heard = 0;
  while (fread(samples, sizeof(int16_t), kHop, stdin) == kHop) {
    heard += kHop;
    const float* scores = Listen(samples, kHop);
    if (scores == nullptr) continue;
    const int best = BestClass(scores);
    printf("%.2f s: %s%s, %d%%\n", static_cast<double>(heard) / kSampleRate,
           ClassifierRejects() ? "none of these; likeliest " : "", g_labels[best],
           static_cast<int>(100 * scores[best] + 0.5f));
  }
  return 0;
}
