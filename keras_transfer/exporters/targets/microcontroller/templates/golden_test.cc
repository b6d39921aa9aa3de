// Written by keras-transfer $version. Runs the test images and compares with the answers that Python got: 0 if all agree.
#include <cstdio>
#include <cstring>

#include "classifier.h"
#include "golden.h"

int main() {
  if (!ClassifierBegin()) return 1;
  int wrong = 0;
  for (int image = 0; image < kGoldenCount; ++image) {
    memcpy(ClassifierInput(), g_golden_inputs[image], kInputBytes);
    const int8_t* scores = ClassifierRun();
    if (scores == nullptr) return 1;
    const bool same = memcmp(scores, g_golden_outputs[image], kClassCount) == 0;
    printf("image %d: %s (%s)\n", image, same ? "equal" : "DIFFERENT", g_labels[BestClass(scores)]);
    if (!same) ++wrong;
  }
  printf(wrong == 0 ? "All %d images agree.\n" : "Of %d images some differ.\n", kGoldenCount);
  return wrong == 0 ? 0 : 1;
}
