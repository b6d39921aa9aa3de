// Written by keras-transfer $version. The tables are made from the front end's settings: $front_end
#include "log_mel.h"

namespace {

constexpr int kFft = $fft;
constexpr int kPower = $power;  // of the magnitudes: 1, or 2 for energies
constexpr uint64_t kOffset = ${offset}u;  // added to each band of a frame whose samples are not shifted
constexpr int32_t kUnit = $unit;  // logarithm of what 1 stands for in such a band, in 1/65536
constexpr int32_t kLeast = $least;  // the least logarithm, in 1/65536
constexpr int32_t kSpan = $span;  // the largest logarithm of a clip less the least that counts, in 1/512
constexpr int64_t kStep = $step;  // input steps of a logarithm's 1/512, in 1/2^24
constexpr int64_t kZero = $zero;  // input of the logarithm 0, in 1/2^24
constexpr int32_t kLn2 = 45426;  // in 1/65536

// The window's first half with its middle (it is symmetric), and cosines of 0 to a quarter turn: in 1/2^31.
const int32_t kHann[kWindow / 2 + 1] = {
$hann
};
const int32_t kCosine[kFft / 4 + 1] = {
$cosine
};
// Of each band the first frequency of the DFT that counts, and how many do; what they count, in 1/32768 of the largest.
const uint16_t kFirst[kMels] = {
$first
};
const uint16_t kCount[kMels] = {
$count
};
const uint16_t kWeights[] = {
$weights
};
// log2(1 + i / 64), in 1/65536.
const int32_t kLog2[65] = {
$log2
};

int32_t g_real[kFft], g_imaginary[kFft];

int32_t Cosine(int turn) {  // of kFft to a whole one
  turn &= kFft - 1;
  if (turn > kFft / 2) turn = kFft - turn;
  return turn > kFft / 4 ? -kCosine[kFft / 2 - turn] : kCosine[turn];
}

int32_t Product(int32_t a, int32_t b, int32_t c, int32_t d) {  // a * b - c * d, of factors in 1/2^31
  return static_cast<int32_t>((static_cast<int64_t>(a) * b - static_cast<int64_t>(c) * d + (1 << 30)) >> 31);
}

int32_t Half(int64_t sum) { return static_cast<int32_t>((sum + 1) >> 1); }

// The DFT of g_real over kFft, whose values stand in the order of their places' bits in reverse.
void Transform() {
  for (int size = 1; size < kFft; size *= 2) {
    for (int k = 0; k < size; ++k) {
      const int turn = k * (kFft / 2 / size);
      const int32_t cosine = Cosine(turn), sine = -Cosine(turn - kFft / 4);
      for (int a = k; a < kFft; a += 2 * size) {
        const int b = a + size;
        const int64_t real = Product(g_real[b], cosine, g_imaginary[b], sine);
        const int64_t imaginary = Product(g_real[b], sine, -g_imaginary[b], cosine);
        g_real[b] = Half(g_real[a] - real);
        g_imaginary[b] = Half(g_imaginary[a] - imaginary);
        g_real[a] = Half(g_real[a] + real);
        g_imaginary[a] = Half(g_imaginary[a] + imaginary);
      }
    }
  }
}

uint64_t Energy(int i) {
  const int64_t real = g_real[i], imaginary = g_imaginary[i];
  return static_cast<uint64_t>(real * real + imaginary * imaginary);
}

uint64_t Root(uint64_t value) {
  uint64_t root = 0;
  for (uint64_t bit = 1ull << 62; bit != 0; bit >>= 2) {
    if (value >= root + bit) {
      value -= root + bit;
      root = (root >> 1) + bit;
    } else {
      root >>= 1;
    }
  }
  return root;
}

int32_t Log(uint64_t value) {  // natural, in 1/65536, of at least 1
  int whole = 63;
  for (; !(value >> 63); value <<= 1) --whole;
  const int place = static_cast<int>(value >> 57) & 63;
  const int64_t part = static_cast<int64_t>(value >> 41) & 0xffff;
  const int64_t log2 = kLog2[place] + ((part * (kLog2[place + 1] - kLog2[place])) >> 16);
  return static_cast<int32_t>((((static_cast<int64_t>(whole) << 16) + log2) * kLn2) >> 16);
}

}  // namespace

void LogMelFrame(const int16_t* samples, int16_t* logs) {
  int32_t bits = 0;
  for (int i = 0; i < kWindow; ++i) bits |= samples[i] < 0 ? -samples[i] : samples[i];
  int shift = 0;  // so that faint sounds use all bits, too
  while (bits != 0 && (bits << shift) < 16384) ++shift;
  for (int i = 0, place = 0; i < kFft; ++i) {
    g_imaginary[i] = 0;
    g_real[place] = 0;
    if (i < kWindow) {
      const int64_t hann = kHann[i <= kWindow / 2 ? i : kWindow - i];
      g_real[place] = static_cast<int32_t>((hann * (samples[i] * (1 << shift))) >> 16);
    }
    int bit = kFft / 2;  // the next place: counting with the bits in reverse
    for (; place & bit; bit /= 2) place -= bit;
    place += bit;
  }
  Transform();
  for (int i = 0; kPower == 1 && i <= kFft / 2; ++i) g_real[i] = static_cast<int32_t>(Root(Energy(i)));
  const uint16_t* weight = kWeights;
  for (int band = 0; band < kMels; ++band) {
    uint64_t sum = kOffset << (kPower * shift);
    for (int i = kFirst[band]; i < kFirst[band] + kCount[band]; ++i) {
      sum += *weight++ * (kPower == 1 ? static_cast<uint64_t>(g_real[i]) : Energy(i) >> 12);
    }
    int32_t log = kLeast;
    if (sum != 0) log = Log(sum) + kUnit - kPower * shift * kLn2;
    logs[band] = static_cast<int16_t>(((log > kLeast ? log : kLeast) + 64) >> 7);
  }
}

void LogMelInput(const int16_t* logs, int first, int8_t* input) {
  int32_t least = -32768;
  for (int i = 0; i < kFrames * kMels; ++i) least = logs[i] - kSpan > least ? logs[i] - kSpan : least;
  for (int frame = 0; frame < kFrames; ++frame) {
    const int16_t* row = logs + (first + frame) % kFrames * kMels;
    for (int band = 0; band < kMels; ++band) {
      const int64_t log = row[band] > least ? row[band] : least;
      const int64_t value = (log * kStep + kZero + (1 << 23)) >> 24;
      *input++ = static_cast<int8_t>(value < -128 ? -128 : value > 127 ? 127 : value);
    }
  }
}
