// Written by keras-transfer $version.
#include "model.h"

const char* const g_labels[kClassCount] = {
$labels
};

const unsigned int g_model_len = $length;
alignas(16) const unsigned char g_model[] = {
$bytes
};
